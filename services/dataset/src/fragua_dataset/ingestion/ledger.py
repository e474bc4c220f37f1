"""What is remembered of every row while a version is made: numbers in files, so that memory stays flat."""

from __future__ import annotations

import os
import sys
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from fragua_dataset.ingestion.records import Place

Numbers: TypeAlias = NDArray[np.uint64]
Rows: TypeAlias = NDArray[np.int64]
Unsigned: TypeAlias = NDArray[np.unsignedinteger[Any]]

_WIDTH = 8
_KEPT_BACK = 1 << 16
_ROWS_AT_ONCE = 1 << 17


class Keys(Protocol):
    """One number for each row, of which a part at a time is looked at: an array, or a file."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> Unsigned: ...


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

    def extend_with(self, numbers: Numbers) -> None:
        self._waiting.frombytes(numbers.tobytes())
        if len(self._waiting) >= _KEPT_BACK:
            self._flush()

    @overload
    def __getitem__(self, rows: int) -> int: ...

    @overload
    def __getitem__(self, rows: slice) -> Numbers: ...

    def __getitem__(self, rows: int | slice) -> int | Numbers:
        """Read from the file, not mapped: whatever of a mapping was looked at counts as memory."""
        self._flush()
        if isinstance(rows, int):
            return int.from_bytes(os.pread(self._file.fileno(), _WIDTH, _WIDTH * rows), sys.byteorder)
        start, stop, _ = rows.indices(len(self))
        return np.fromfile(self._path, np.uint64, stop - start, offset=_WIDTH * start)

    def at(self, rows: Rows) -> Numbers:
        """Those of some rows, in their order."""
        found = np.empty(len(rows), np.uint64)
        order = np.argsort(rows)
        rows = rows[order]
        for part in parts_of(len(self)):
            here = slice(*np.searchsorted(rows, (part.start, part.stop)))
            if here.start < here.stop:
                found[order[here]] = self[part][rows[here] - part.start]
        return found

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
        self._folder = folder
        self._columns: list[Column] = []
        self.ids = self.scratch_column("ids")
        self._lines = self.scratch_column("lines")
        self._indexes = self.scratch_column("indexes")
        """Empty unless the file is an array."""
        self.groups = self.scratch_column("groups")
        """By rank: see `grouping.rank_of`."""
        self.strata = self.scratch_column("strata")
        self.held_out = self.scratch_column("held-out")
        """1 where a parent version held the row out."""
        self.asked = self.scratch_column("asked")
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

    def was_held_out(self) -> NDArray[np.bool_]:
        return np.concatenate([np.zeros(0, np.bool_), *(self.held_out[part] == 1 for part in parts_of(len(self)))])

    def scratch_column(self, name: str) -> Column:
        """A column more, for as long as the others last."""
        self._columns.append(Column(self._folder / name))
        return self._columns[-1]

    def close(self) -> None:
        for column in self._columns:
            column.close()


def parts_of(rows: int) -> Iterator[slice]:
    """All rows, as many at once as memory holds whatever their number."""
    for start in range(0, rows, _ROWS_AT_ONCE):
        yield slice(start, min(start + _ROWS_AT_ONCE, rows))


def equal_rows(*columns: Keys) -> Iterator[Rows]:
    """For every key that comes more than once its rows, in ascending order; the keys come in any order.

    Rows are numbered on from one column to the next.
    """
    for rows, keys in by_key(*columns):
        order = np.argsort(keys, kind="stable")
        keys, rows = keys[order], rows[order]
        borders = np.flatnonzero(np.diff(keys, prepend=~keys[:1], append=~keys[-1:]))
        for run in np.flatnonzero(np.diff(borders) > 1).tolist():
            yield rows[borders[run] : borders[run + 1]]


def by_key(*columns: Keys) -> Iterator[tuple[Rows, Unsigned]]:
    """All rows and their keys, in parts of a size that does not grow with their number: equal keys are in one part."""
    parts = max(1, sum(map(len, columns)) // _ROWS_AT_ONCE)
    for number in range(parts):
        found = [*_keys_of_part(number, parts, columns)]
        if found:
            rows, keys = zip(*found, strict=True)
            del found
            yield np.concatenate(rows), np.concatenate(keys)


def _keys_of_part(number: int, parts: int, columns: tuple[Keys, ...]) -> Iterator[tuple[Rows, Unsigned]]:
    first = 0
    for column in columns:
        for part in parts_of(len(column)):
            keys = column[part]
            rows = np.flatnonzero(keys % keys.dtype.type(parts) == number)
            yield rows + (first + part.start), keys[rows]
        first += len(column)
