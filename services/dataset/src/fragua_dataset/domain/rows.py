"""One row of a version as it is stored, and what differs between two rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

LONGEST_TEXT: Final = 2_000
"""Characters of a changed field that are shown; of a longer one what is the same before and after goes first."""
_CONTEXT: Final = 60
_CUT: Final = "…"
_NAMES: Final = ("id", "origin")
"""What a row is called, which is no part of what it says."""
_ABSENT: Final = object()


class Side(StrEnum):
    """One side of a version's split."""

    TRAIN = "train"
    VALIDATION = "validation"

    @property
    def rows(self) -> str:
        """Name of the file with its rows."""
        return f"{self}.jsonl"

    @property
    def audit(self) -> str:
        return f"{self}_audit_report.json"


@dataclass(frozen=True)
class StoredRow:
    side: Side
    begin: int
    end: int
    """Its place in the file of its side, in bytes."""
    fields: dict[str, Any]
    """As in the README: `id`, `messages`, `metadata` and so on."""


class Change(StrEnum):
    ADDED = "ADDED"
    REMOVED = "REMOVED"
    CHANGED = "CHANGED"
    MOVED = "MOVED"
    """The same row on the other side of the split."""


@dataclass(frozen=True)
class FieldDiff:
    pointer: str
    """JSON pointer into the row, e.g. `/messages/1/content`."""
    before: str
    """As JSON; empty where the field is not there."""
    after: str


def field_diffs(before: dict[str, Any], after: dict[str, Any]) -> list[FieldDiff]:
    return [field_diff(*difference) for difference in _differences("", _said(before), _said(after))]


def field_diff(pointer: str, before: Any, after: Any) -> FieldDiff:
    return FieldDiff(pointer, *_shortened(_as_json(before), _as_json(after)))


def _said(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in _NAMES}


def _differences(pointer: str, before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    """The smallest parts that differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(name for name in after if name not in before)]:
            step = name.replace("~", "~0").replace("/", "~1")
            yield from _differences(f"{pointer}/{step}", before.get(name, _ABSENT), after.get(name, _ABSENT))
    elif isinstance(before, list) and isinstance(after, list):
        for place in range(max(len(before), len(after))):
            yield from _differences(f"{pointer}/{place}", _at(before, place), _at(after, place))
    elif type(before) is not type(after) or before != after:
        yield pointer, before, after


def _at(values: list[Any], place: int) -> Any:
    return values[place] if place < len(values) else _ABSENT


def _as_json(value: Any) -> str:
    return "" if value is _ABSENT else json.dumps(value, ensure_ascii=False)


def _shortened(before: str, after: str) -> tuple[str, str]:
    """Short enough to be shown, with the difference in sight."""
    if max(len(before), len(after)) > LONGEST_TEXT and before and after:
        start = _shared(before, after)
        end = min(_shared(before[::-1], after[::-1]), min(len(before), len(after)) - start)
        before, after = (_without_ends(text, start, end) for text in (before, after))
    return _cut_in_the_middle(before), _cut_in_the_middle(after)


def _shared(before: str, after: str) -> int:
    """Length of the common beginning."""
    pairs = enumerate(zip(before, after, strict=False))
    return next((place for place, (old, new) in pairs if old != new), min(len(before), len(after)))


def _without_ends(text: str, start: int, end: int) -> str:
    first = max(start - _CONTEXT, 0)
    last = len(text) - max(end - _CONTEXT, 0)
    return f"{_CUT if first else ''}{text[first:last]}{_CUT if last < len(text) else ''}"


def _cut_in_the_middle(text: str) -> str:
    half = LONGEST_TEXT // 2
    return text if len(text) <= LONGEST_TEXT else f"{text[:half]}{_CUT}{text[-half:]}"
