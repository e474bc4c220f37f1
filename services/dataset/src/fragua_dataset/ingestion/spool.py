"""Rows that wait on disk, in their canonical form, until it is known which of them a version keeps and where."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from fragua_dataset.ingestion.canonical import Row
from fragua_dataset.ingestion.ledger import Column, Numbers
from fragua_dataset.ingestion.problems import Flaw

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_decode_flaws = msgspec.json.Decoder(tuple[int, list[Flaw]]).decode


class Spool:
    """Rows are numbered from 0, as they come."""

    def __init__(self, folder: Path) -> None:
        self.rows = 0
        self._path = folder / "rows.jsonl"
        self._lines = self._path.open("wb", buffering=1 << 18)
        self._flaws_path = folder / "flaws.jsonl"
        self._flaws = self._flaws_path.open("wb", buffering=1 << 16)
        self._starts = Column(folder / "starts")
        self._end = 0
        self._reader = self._path.open("rb")
        self._known_starts: Numbers | None = None

    def add(self, row: Row, flaws: list[Flaw]) -> None:
        line = _encode(row) + b"\n"
        self._lines.write(line)
        self._starts.append(self._end)
        self._end += len(line)
        if flaws:
            self._flaws.write(_encode((self.rows, flaws)) + b"\n")
        self.rows += 1

    def row(self, number: int) -> Row:
        """Any row, once all have been added."""
        if self._known_starts is None:
            self._lines.flush()
            self._known_starts = self._starts.numbers()
        self._reader.seek(int(self._known_starts[number]))
        row: Row = _decode(self._reader.readline())
        return row

    def lines(self) -> Iterator[bytes]:
        self._lines.flush()
        with self._path.open("rb", buffering=1 << 18) as lines:
            yield from lines

    def rows_in_order(self) -> Iterator[Row]:
        return map(_decode, self.lines())

    def flaws_by_row(self) -> Iterator[list[Flaw]]:
        """What was found in each row, of most nothing."""
        self._flaws.flush()
        number = 0
        with self._flaws_path.open("rb") as lines:
            for line in lines:
                flawed, flaws = _decode_flaws(line)
                while number < flawed:
                    yield []
                    number += 1
                yield flaws
                number += 1
        while number < self.rows:
            yield []
            number += 1

    def close(self) -> None:
        for file in (self._lines, self._flaws, self._reader, self._starts):
            file.close()
