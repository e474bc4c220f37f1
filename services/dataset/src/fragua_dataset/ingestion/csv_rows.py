"""Reads CSV as RFC 4180 has it: column names first, quotes around what holds separators, line breaks or quotes."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from io import BufferedReader
from typing import Any

from fragua_dataset.domain.problems import ProblemCode
from fragua_dataset.domain.version_spec import VersionSpec
from fragua_dataset.ingestion.encodings import guess_at
from fragua_dataset.ingestion.json_rows import parse_value
from fragua_dataset.ingestion.problems import Flaw, pointer_to, quoted
from fragua_dataset.ingestion.records import Record, too_long
from fragua_dataset.ingestion.shapes import FIELDS_OF_ROWS, FIELDS_WITH_STRUCTURE

_SEPARATORS = ",;\t"
_NOT_TEXT = re.compile("[\udc80-\udcff]")
"""How bytes look that are no UTF-8, once `surrogateescape` has read them."""
_HINT_QUOTES = 'put the cell in quotes and double the quotes in it: "She said ""yes""."'


def column_names(first_line: str) -> list[str]:
    """The names in a header line; fewer than two when it is none."""
    try:
        return next(csv.reader([first_line], delimiter=_separator_of(first_line), strict=True), [])
    except csv.Error:
        return []


def csv_rows(text: BufferedReader, spec: VersionSpec) -> Iterator[Record]:
    """The reading ends at a record over the limit: where the next one begins, nobody knows."""
    csv.field_size_limit(2 * spec.max_line_bytes)
    lines = _Lines(text, spec.max_line_bytes)
    columns: list[str] = []
    reader = csv.reader(lines, delimiter=_separator_of(lines.first()), strict=True)
    while True:
        lines.begin_record()
        try:
            cells = next(reader, None)
        except _TooLong:
            hint = "a closing quote may be missing; or raise max_line_bytes. What follows was not read"
            yield Record(lines.begin, too_long("the record", spec.max_line_bytes, hint))
            return
        except csv.Error as broken:
            yield Record(lines.begin, [Flaw("", ProblemCode.INVALID_CSV, str(broken), _HINT_QUOTES)])
            continue
        if cells is None:
            return
        if not cells or (len(cells) == 1 and not cells[0].strip()):
            continue
        if columns:
            yield Record(lines.begin, _row(columns, cells, spec.max_depth))
        else:
            columns = [cell.strip() for cell in cells]
            if flaws := list(_column_flaws(columns)):
                yield Record(lines.begin, flaws)
                return


class _TooLong(Exception):
    pass


class _Lines:
    """Lines for the csv reader, counted, and no more of them for one record than the limit allows."""

    def __init__(self, text: BufferedReader, max_record: int) -> None:
        self.begin = 1
        self._text = text
        self._max_record = max_record
        self._left = 0
        self._number = 0
        self._first = b"\n"
        while self._first.isspace():
            self._number += 1
            self._first = self._read()
        self._number -= 1

    def first(self) -> str:
        return _decoded(self._first)

    def begin_record(self) -> None:
        self.begin = self._number + 1
        self._left = self._max_record + len(b"\r\n")

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line, self._first = self._first or self._read(), b""
        if not line:
            raise StopIteration
        self._number += 1
        self._left -= len(line)
        if self._left < 0:
            raise _TooLong
        return _decoded(line)

    def _read(self) -> bytes:
        return self._text.readline(self._max_record + len(b"\r\n") + 1)


def _decoded(line: bytes) -> str:
    # Bytes that are not UTF-8 pass as surrogates, so that the record they are in is told, not the line.
    return line.decode("utf-8", "surrogateescape")


def _separator_of(header: str) -> str:
    """The candidate that divides the header into most columns."""
    return max(_SEPARATORS, key=lambda separator: _outside_quotes(header).count(separator))


def _outside_quotes(text: str) -> str:
    return "".join(text.split('"')[::2])


def _column_flaws(columns: list[str]) -> Iterator[Flaw]:
    hint = "the first line names the columns, each once, such as: prompt,completion"
    for place, name in enumerate(columns, 1):
        if not name:
            yield Flaw("", ProblemCode.INVALID_CSV, f"column {place} has no name", hint)
        elif _NOT_TEXT.search(name):
            yield Flaw("", ProblemCode.INVALID_UTF8, f"the name of column {place} is not UTF-8", "save as UTF-8")
        elif name in columns[: place - 1]:
            yield Flaw("", ProblemCode.DUPLICATE_KEY, f"{quoted(name)} names more than one column", hint)


def _row(columns: list[str], cells: list[str], max_depth: int) -> dict[str, Any] | list[Flaw]:
    if len(cells) != len(columns):
        message = f"the record has {len(cells)} cells, expected {len(columns)} as in the first line"
        return [Flaw("", ProblemCode.INVALID_CSV, message, _HINT_QUOTES)]
    flaws: list[Flaw] = []
    row: dict[str, Any] = {}
    for name, cell in zip(columns, cells, strict=True):
        if cell_flaw := _cell_flaw(name, cell):
            flaws.append(cell_flaw)
        elif name in FIELDS_WITH_STRUCTURE and cell.strip()[:1] in ("[", "{"):
            row[name], found = parse_value(cell.encode(), max_depth)
            parent = pointer_to("", name)
            flaws += [Flaw(parent + flaw.pointer, flaw.code, flaw.message, flaw.hint) for flaw in found]
        elif cell or name in FIELDS_OF_ROWS:
            # An empty cell of any other column says that the row has no such field.
            row[name] = cell
    return flaws or row


def _cell_flaw(name: str, cell: str) -> Flaw | None:
    if cell.isascii() and "\0" not in cell:
        return None
    if "\0" in cell:
        return Flaw(pointer_to("", name), ProblemCode.NUL_CHARACTER, "the text holds a NUL character", "remove it")
    if _NOT_TEXT.search(cell):
        original = cell.encode("utf-8", "surrogateescape")
        hint = f"save the file as UTF-8; {guess_at(original)}"
        return Flaw(pointer_to("", name), ProblemCode.INVALID_UTF8, "the cell is not UTF-8", hint)
    return None
