"""Branches, and where their datasets lie in the artifact store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

ROW_FILES = ("train.jsonl", "validation.jsonl")
"""Of a version: what is learnt, and what is held out."""


@dataclass(frozen=True)
class Branch:
    id: str
    display_name: str
    created: datetime

    @property
    def name(self) -> str:
        return f"branches/{self.id}"


def version_prefix(version_name: str) -> str:
    """`branches/b/datasets/d/versions/v` lies at `datasets/b/d/v`."""
    _, branch, _, dataset, _, version = version_name.split("/")
    return f"datasets/{branch}/{dataset}/{version}"


def rejected_prefix(version_name: str) -> str:
    """Where the report of an invalid version lies: beside, not in, the place of versions that can be used."""
    _, branch, _, dataset, _, version = version_name.split("/")
    return f"datasets/{branch}/{dataset}/rejected/{version}"
