"""How many samples of each exercise type there are: in one version, and in several that may hold the same ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

SAMPLES_FILE = "samples.json"
TYPE_FIELD = "type"
"""The field of a row that names its exercise type."""
MOST_KEYS = 10_000
"""Of one type in one version; who has more needs no other version to have enough."""
MOST_TYPES = 64
"""A field with more values than that names no exercise types."""
_LONGEST_TYPE = 40


class TypeSamples(BaseModel):
    """The samples of one exercise type in one version."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    samples: int = Field(ge=1)
    keys: tuple[str, ...] | None = Field(default=None, max_length=MOST_KEYS)
    """What each is known by, in whichever version it is; None of more than `MOST_KEYS`."""


class VersionSamples(BaseModel):
    """`outputs/samples.json`"""

    model_config = ConfigDict(frozen=True, extra="forbid")

    exercise_types: dict[str, TypeSamples] = Field(max_length=MOST_TYPES)
    """Under "" rows that name no type: they are of the one that their dataset is named after."""


def exercise_type_in(given: object) -> str | None:
    """The type that a row names, however it is written; "" when it names none, None when that is no name."""
    if given is None:
        return ""
    if not isinstance(given, str):
        return None
    name = "-".join(given.casefold().replace("_", " ").split())
    return name if len(name) <= _LONGEST_TYPE else None


@dataclass(frozen=True)
class SampleCount:
    """The samples of one exercise type in all versions that hold some, each counted once."""

    exercise_type: str
    samples: int
    exact: bool
    """False where there may be more: of one version only their number is known."""
    by_dataset: Mapping[str, int]
    newest: str
    """The version that was made last."""


def count_samples(held: Iterable[tuple[str, str, str, TypeSamples]]) -> Sequence[SampleCount]:
    """`held`: exercise type, dataset, version and samples, the version that was made last first. Most samples first."""
    keys: dict[str, set[str]] = {}
    most: dict[str, int] = {}
    by_dataset: dict[str, dict[str, int]] = {}
    newest: dict[str, str] = {}
    for exercise_type, dataset, version, found in held:
        newest.setdefault(exercise_type, version)
        datasets = by_dataset.setdefault(exercise_type, {})
        datasets[dataset] = datasets.get(dataset, 0) + found.samples
        known = keys.setdefault(exercise_type, set())
        if found.keys is None:
            most[exercise_type] = max(found.samples, most.get(exercise_type, 0))
        else:
            known.update(found.keys)
    counts = [
        SampleCount(
            exercise_type,
            samples=max(len(known), most.get(exercise_type, 0)),
            exact=exercise_type not in most or len(by_dataset[exercise_type]) == 1,
            by_dataset=by_dataset[exercise_type],
            newest=newest[exercise_type],
        )
        for exercise_type, known in keys.items()
    ]
    return sorted(counts, key=lambda count: (-count.samples, count.exercise_type))
