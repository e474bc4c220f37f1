"""The fragua command."""
