"""Checks the content of examples against a profile."""

from fragua_dataset.ingestion.checks.example import check_example
from fragua_dataset.ingestion.checks.private_data import Private, find_private

__all__ = ["Private", "check_example", "find_private"]
