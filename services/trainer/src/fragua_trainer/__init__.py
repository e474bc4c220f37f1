"""Fragua's trainer service."""
