"""Fragua's exporter service."""
