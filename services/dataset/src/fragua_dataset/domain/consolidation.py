"""A consolidation: the moment at which a branch's new samples are gathered into dataset versions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Consolidation:
    branch: str
    number: int
    """1, 2, 3… within the branch. Its versions hold every sample that was taken in by it or by one before."""
    cause: str
    """`request:<id>` or `schedule:<point in time>`; a branch consolidates once for each."""
    exercise_type: str
    """Only this one; all, and the pool, when empty."""
    begun: datetime
    datasets: tuple[str, ...] = ()
    """Those with something new: a version is made of each."""
    dataset_versions: tuple[str, ...] = ()
    """Resource names, once it is complete."""
    completed: datetime | None = None
