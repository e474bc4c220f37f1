"""Fragua's evaluator service."""
