"""Telling what a fix did to a file that was no valid version: read from what its fixers wrote down."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from io import BufferedReader
from typing import Any, Final

from fragua_dataset.application.comparison import Difference, Place
from fragua_dataset.application.row_diffs import RowDiff, VersionDiff, cut_page
from fragua_dataset.application.rows import malformed_token
from fragua_dataset.domain.rows import Change, FieldDiff, field_diff
from fragua_dataset.domain.version import Origin, Version, VersionState
from fragua_platform.paging import PageRequest

CHANGES: Final = "changes.jsonl"
"""A line for each row that was changed or dropped."""


def is_mended_from(target: Version, base: Version) -> bool:
    """The file of `base` was read again, so its rows are in no version."""
    return target.origin is Origin.FIX and base.name in target.parents and base.state is VersionState.INVALID


def mended_rows(changes: BufferedReader, target: Version, page: PageRequest) -> VersionDiff:
    """Rows are told in the order of the file, without sides: `base` had none."""
    counts = Counter(_change(line) for line in map(json.loads, changes))
    unchanged = target.findings.train_rows + target.findings.validation_rows - counts[Change.CHANGED]
    return VersionDiff(cut_page(_from(changes, page), page), counts, unchanged)


def _from(changes: BufferedReader, page: PageRequest) -> Iterator[RowDiff]:
    """Positions are where lines end."""
    begin = page.number(0) if page.after else 0
    if begin:
        changes.seek(max(begin - 1, 0))
        if changes.read(1) != b"\n":
            raise malformed_token()
    changes.seek(begin)
    for text in changes:
        begin += len(text)
        line = json.loads(text)
        base = Place(line["before"], None, 0)
        target = Place(line["after"], None, 0) if line["after"] else None
        yield RowDiff(Difference(begin, _change(line), base, target), _fields(line["changes"]) if target else ())


def _change(line: Mapping[str, Any]) -> Change:
    return Change.CHANGED if line["after"] else Change.REMOVED


def _fields(changes: Sequence[Mapping[str, Any]]) -> Sequence[FieldDiff]:
    """Several fixers may have had a hand in one field: what it was before the first and after the last."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for change in changes:
        before.setdefault(change["pointer"], change["before"])
        after[change["pointer"]] = change["after"]
    return [field_diff(pointer, before[pointer], after[pointer]) for pointer in before]
