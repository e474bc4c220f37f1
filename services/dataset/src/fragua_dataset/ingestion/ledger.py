"""What is remembered of every row while a version is made: numbers in files, so that memory stays flat."""

from __future__ import annotations

import os
import sys
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from fragua_dataset.ingestion.records import Place

Numbers: TypeAlias = NDArray[np.uint64]
Rows: TypeAlias = NDArray[np.int64]

Number = TypeVar("Number", bound=np.unsignedinteger[Any])

_WIDTH = 8
_KEPT_BACK = 1 << 16
_ROWS_AT_ONCE = 1 << 18


class Column:
    """One number of 64 bits for each row, written once from the first row to the last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("w+b")
        self._waiting = array("Q")
        self._written = 0

    def __len__(self) -> int:
        return self._written + len(self._waiting)

    def append(self, number: int) -> None:
        self._waiting.append(number)
        if len(self._waiting) >= _KEPT_BACK:
            self._flush()

    def extend(self, numbers: Iterable[int]) -> None:
        self._waiting.extend(numbers)
        if len(self._waiting) >= _KEPT_BACK:
            self._flush()

    def __getitem__(self, row: int) -> int:
        self._flush()
        return int.from_bytes(os.pread(self._file.fileno(), _WIDTH, _WIDTH * row), sys.byteorder)

    def chosen(self, rows: NDArray[np.bool_], kind: type[Number]) -> NDArray[Number]:
        """Those of the rows that are marked, as numbers of that kind; nothing else of the file stays in memory."""
        self._flush()
        numbers = np.empty(np.count_nonzero(rows), kind)
        filled = 0
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = rows[start : start + _ROWS_AT_ONCE]
            found = np.fromfile(self._path, np.uint64, len(part), offset=_WIDTH * start)[part]
            numbers[filled : filled + len(found)] = found
            filled += len(found)
        return numbers

    def at(self, rows: Rows) -> Numbers:
        """Those of some rows, as a copy."""
        return self.numbers()[rows]

    def numbers(self) -> Numbers:
        """All of them, mapped from the file for as long as they are held: what was looked at counts as memory."""
        self._flush()
        # What is empty cannot be mapped.
        return np.memmap(self._path, np.uint64, "r").view(np.ndarray) if self._written else np.empty(0, np.uint64)

    def close(self) -> None:
        self._file.close()

    def _flush(self) -> None:
        if not self._waiting:
            return
        self._waiting.tofile(self._file)
        self._file.flush()
        self._written += len(self._waiting)
        self._waiting = array("Q")


class Ledger:
    """The columns of the rows that were read as examples, numbered from 0 as they came."""

    def __init__(self, folder: Path) -> None:
        self.ids = Column(folder / "ids")
        self._lines = Column(folder / "lines")
        self._indexes = Column(folder / "indexes")
        """Empty unless the file is an array."""
        self.groups = Column(folder / "groups")
        """By rank: see `grouping.rank_of`."""
        self.strata = Column(folder / "strata")
        self.held_out = Column(folder / "held-out")
        """1 where a parent version held the row out."""
        self.asked = Column(folder / "asked")
        """Equal for rows that ask the same."""

    def __len__(self) -> int:
        return len(self.ids)

    def add_place(self, place: Place) -> None:
        self._lines.append(place.line)
        if place.index is not None:
            self._indexes.append(place.index)

    def add_keys(self, first_line: int, keys: list[int]) -> None:
        """Of rows one below the other, of which nobody wants to know more."""
        self.ids.extend(keys)
        self._lines.extend(range(first_line, first_line + len(keys)))

    def place(self, row: int) -> Place:
        return Place(self._lines[row], self._indexes[row] if len(self._indexes) else None)

    def places(self, rows: Rows) -> list[Place]:
        lines = self._lines.at(rows).tolist()
        if not len(self._indexes):
            return [*map(Place, lines)]
        return [*map(Place, lines, self._indexes.at(rows).tolist())]

    def close(self) -> None:
        for column in (self.ids, self._lines, self._indexes, self.groups, self.strata, self.held_out, self.asked):
            column.close()


def equal_rows(keys: Numbers) -> Iterator[Rows]:
    """For every key that comes more than once its rows, in ascending order; the keys come in any order.

    Keys are taken in parts of a size that does not grow with their number.
    """
    parts = max(1, len(keys) // _ROWS_AT_ONCE)
    for part in range(parts):
        rows = rows_of_part(part, parts, keys)
        found = keys[rows]
        order = np.argsort(found, kind="stable")
        found, rows = found[order], rows[order]
        borders = np.flatnonzero(np.diff(found, prepend=~found[:1], append=~found[-1:]))
        for run in np.flatnonzero(np.diff(borders) > 1).tolist():
            yield rows[borders[run] : borders[run + 1]]


def rows_of_part(part: int, parts: int, keys: NDArray[np.unsignedinteger[Any]]) -> Rows:
    """The rows of every `parts`th key; rows with equal keys are in one part."""
    if parts == 1:
        return np.arange(len(keys))
    found = [
        start + np.flatnonzero(keys[start : start + _ROWS_AT_ONCE] % np.uint64(parts) == part)
        for start in range(0, len(keys), _ROWS_AT_ONCE)
    ]
    return np.concatenate(found)
