"""The service's plain data: branches, and what is known of a dataset version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from fragua_dataset.domain.version_spec import VersionSpec


@dataclass(frozen=True)
class Branch:
    id: str
    display_name: str
    created: datetime

    @property
    def name(self) -> str:
        return f"branches/{self.id}"


class VersionState(StrEnum):
    VALIDATING = "VALIDATING"
    INVALID = "INVALID"
    READY = "READY"


class ImportOrder(BaseModel):
    """What a client ordered: a file that is safe in the artifact store, and how to read it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    """`branches/{branch}/datasets/{dataset}`"""
    filename: str
    source_key: str
    source_size: int = Field(ge=0)
    source_sha256: str
    spec: VersionSpec


@dataclass(frozen=True)
class Findings:
    """What validation found; empty until it is through."""

    rows: int = 0
    train_rows: int = 0
    validation_rows: int = 0
    problem_counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def problems(self) -> int:
        return sum(self.problem_counts.values())


def version_prefix(version_name: str) -> str:
    """`branches/b/datasets/d/versions/v` lies at `datasets/b/d/v`."""
    _, branch, _, dataset, _, version = version_name.split("/")
    return f"datasets/{branch}/{dataset}/{version}"


def rejected_prefix(version_name: str) -> str:
    """Where the report of an invalid version lies: beside, not in, the place of versions that can be used."""
    _, branch, _, dataset, _, version = version_name.split("/")
    return f"datasets/{branch}/{dataset}/rejected/{version}"
