"""Counts the samples of a version by exercise type, and remembers what the rare ones are known by."""

from __future__ import annotations

from fragua_dataset.domain.samples import (
    MOST_KEYS,
    MOST_TYPES,
    TYPE_FIELD,
    TypeSamples,
    VersionSamples,
    exercise_type_in,
)
from fragua_dataset.ingestion.canonical import Row


class SampleCounter:
    def __init__(self) -> None:
        self._many: dict[str, int] = {}
        """Rows of each type that has too many to remember."""
        self._few: dict[str, set[int]] = {}

    def add(self, row: Row) -> None:
        """A row that was mended is the sample that it was before."""
        exercise_type = exercise_type_in(row["metadata"].get(TYPE_FIELD))
        if exercise_type is None:
            return
        if exercise_type in self._many:
            self._many[exercise_type] += 1
            return
        if (few := self._few.get(exercise_type)) is None:
            if len(self._few) + len(self._many) >= MOST_TYPES:
                return
            few = self._few[exercise_type] = set()
        few.add(int(row["origin"] if "origin" in row else row["id"], 16))
        if len(few) > MOST_KEYS:
            self._many[exercise_type] = len(self._few.pop(exercise_type))

    def report(self) -> VersionSamples:
        counts = {name: TypeSamples(samples=count) for name, count in self._many.items()}
        for name, few in self._few.items():
            counts[name] = TypeSamples(samples=len(few), keys=tuple(f"{key:016x}" for key in sorted(few)))
        return VersionSamples(exercise_types=dict(sorted(counts.items())))
