"""Rows that wait on disk, in their canonical form, until it is known which of them a version keeps and where."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import msgspec

from fragua_dataset.domain.problems import ProblemCode
from fragua_dataset.ingestion.canonical import Row
from fragua_dataset.ingestion.ledger import Column

_encode = msgspec.json.Encoder().encode
decode_row = msgspec.json.Decoder().decode


class Note(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is to be remembered of a row besides."""

    findings: list[ProblemCode] = []
    before: str = ""
    """The id of the row before fixers changed it."""
    changes: list[Any] = []


_NOTHING = Note()
_decode_note = msgspec.json.Decoder(tuple[int, Note]).decode


class Spool:
    """Rows are numbered from 0, as they come."""

    def __init__(self, folder: Path) -> None:
        self.rows = 0
        self._path = folder / "rows.jsonl"
        self._lines = self._path.open("wb", buffering=1 << 18)
        self._notes_path = folder / "notes.jsonl"
        self._notes = self._notes_path.open("wb", buffering=1 << 16)
        self._starts = Column(folder / "starts")
        self._end = 0
        self._reader = self._path.open("rb")
        self._is_flushed = False

    def add(self, row: Row, note: Note) -> None:
        line = _encode(row) + b"\n"
        self._lines.write(line)
        self._starts.append(self._end)
        self._end += len(line)
        if note != _NOTHING:
            self._notes.write(_encode((self.rows, note)) + b"\n")
        self.rows += 1

    def row(self, number: int) -> Row:
        """Any row, once all have been added."""
        if not self._is_flushed:
            self._lines.flush()
            self._is_flushed = True
        self._reader.seek(self._starts[number])
        row: Row = decode_row(self._reader.readline())
        return row

    def lines(self) -> Iterator[bytes]:
        self._lines.flush()
        with self._path.open("rb", buffering=1 << 18) as lines:
            yield from lines

    def notes(self) -> Iterator[Note]:
        """One for each row, in order; most say nothing."""
        self._notes.flush()
        number = 0
        with self._notes_path.open("rb") as lines:
            for noted, note in map(_decode_note, lines):
                yield from repeat(_NOTHING, noted - number)
                yield note
                number = noted + 1
        yield from repeat(_NOTHING, self.rows - number)

    def close(self) -> None:
        for file in (self._lines, self._notes, self._reader, self._starts):
            file.close()
