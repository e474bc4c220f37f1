"""Fragua's dataset service."""
