"""What differs between two versions, a page of rows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from fragua_dataset.application.comparison import Difference
from fragua_dataset.application.rows import MOST_BYTES
from fragua_dataset.domain.rows import Change, FieldDiff
from fragua_platform.paging import Page, PageRequest


@dataclass(frozen=True)
class RowDiff:
    difference: Difference
    fields: Sequence[FieldDiff]


@dataclass(frozen=True)
class VersionDiff:
    rows: Page[RowDiff]
    counts: Mapping[Change, int]
    unchanged: int


def cut_page(differences: Iterable[RowDiff], page: PageRequest) -> Page[RowDiff]:
    """As many as were asked for, and can be sent in one message."""
    rows: list[RowDiff] = []
    told = 0
    for row in differences:
        rows.append(row)
        told += sum(len(field.before) + len(field.after) for field in row.fields)
        if len(rows) > page.size or (len(rows) > 1 and told > MOST_BYTES):
            return replace(page, size=len(rows) - 1).cut(rows, _position_of)
    return replace(page, size=len(rows)).cut(rows, _position_of)


def _position_of(row: RowDiff) -> Sequence[str]:
    return [str(row.difference.position)]
