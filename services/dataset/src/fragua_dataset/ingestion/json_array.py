"""Reads one JSON array of any length: hands out an element at a time and keeps no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BufferedReader

from fragua_dataset.domain.problems import ProblemCode
from fragua_dataset.domain.version_spec import VersionSpec
from fragua_dataset.ingestion.json_rows import parse_row
from fragua_dataset.ingestion.problems import Flaw
from fragua_dataset.ingestion.records import Record, too_long

_READ_AT_ONCE = 1 << 18
_SPACE = re.compile(rb"[ \t\r\n]*")
_CHARACTERS = rb'[^"\\]*+(?:\\.[^"\\]*+)*+'
_INSIDE_TEXT = re.compile(_CHARACTERS, re.DOTALL)
"""Goes to the quote that ends a text."""
_AT_THE_TOP = re.compile(rb'[^"\[\]{},]*+(?:"' + _CHARACTERS + rb'"[^"\[\]{},]*+)*+', re.DOTALL)
"""Goes over whole texts to the next bracket or comma."""
_INSIDE_BRACKETS = re.compile(rb'[^"\[\]{}]*+(?:"' + _CHARACTERS + rb'"[^"\[\]{}]*+)*+', re.DOTALL)
"""Goes over whole texts and commas to the next bracket."""


def json_array(text: BufferedReader, spec: VersionSpec) -> Iterator[Record]:
    """What is wrong with the array itself is told as its last record; the reading ends there."""
    array = _Array(text, spec.max_line_bytes)
    array.skip_space()
    if array.take() != b"[":
        yield array.broken("the array does not begin with '['", "put the rows in brackets: [{…}, {…}]")
        return
    while True:
        array.skip_space()
        first_line, first_byte = array.line, array.position
        element, mark = array.read_element()
        if not mark:
            message = f"the file ends inside this element, which begins at byte {first_byte}"
            yield array.broken(message, "close the array with ']'; the file may be cut", first_line)
            return
        if element is None:
            yield Record(first_line, too_long("the element", spec.max_line_bytes), array.index)
        elif element:
            yield Record(first_line, _parsed(element, first_byte, spec.max_depth), array.index)
        elif mark == b"," or array.index > 0:
            message = f"byte {array.position - 1}: an element is missing before {mark.decode()!r}"
            yield array.broken(message, "remove the comma that is too many")
        array.index += 1
        if mark == b"]":
            break
    array.skip_space()
    if array.take():
        message = f"byte {array.position - 1}: text follows the end of the array"
        yield array.broken(message, "keep one array, or write one object on each line without brackets")


def _parsed(element: bytes, first_byte: int, max_depth: int) -> dict[str, object] | list[Flaw]:
    row = parse_row(element, max_depth)
    if isinstance(row, dict):
        return row
    # Of what could not be parsed no pointer leads to the place, and one line may hold the whole array.
    return [
        flaw
        if flaw.pointer
        else Flaw("", flaw.code, f"{flaw.message} (the row begins at byte {first_byte})", flaw.hint)
        for flaw in row
    ]


class _Array:
    """The text of the array around the element that is being read.

    Brackets are counted and quotes are followed to find where an element ends; whether it is good JSON is for its
    parser to say.
    """

    def __init__(self, text: BufferedReader, max_element: int) -> None:
        self.index = 0
        self.line = 1
        """Of the byte that is read next."""
        self._text = text
        self._max_element = max_element
        self._buffer = b""
        self._start = 0
        """The first byte that is not taken yet."""
        self._bytes_before_buffer = 0

    @property
    def position(self) -> int:
        """Of the byte that is read next, counted from 1."""
        return self._bytes_before_buffer + self._start + 1

    def broken(self, message: str, hint: str, line: int | None = None) -> Record:
        return Record(line or self.line, [Flaw("", ProblemCode.INVALID_JSON, message, hint)], self.index)

    def skip_space(self) -> None:
        while True:
            space = _SPACE.match(self._buffer, self._start)
            self._advance(space.end() if space else self._start)
            if self._start < len(self._buffer) or not self._read_more():
                return

    def take(self) -> bytes:
        """One byte; none at the end of the file."""
        byte = self._buffer[self._start : self._start + 1]
        self._advance(self._start + len(byte))
        return byte

    def read_element(self) -> tuple[bytes | None, bytes]:
        """The element, and the comma or bracket after it (taken too; empty at the end of the file).

        None stands for an element over the limit, of which nothing is kept.
        """
        depth, inside_text, dropped = 0, False, False
        at = self._start
        while True:
            pattern = _INSIDE_TEXT if inside_text else _INSIDE_BRACKETS if depth else _AT_THE_TOP
            found = pattern.match(self._buffer, at)
            stop = found.end() if found else at
            mark = self._buffer[stop : stop + 1]
            if mark == b'"':
                # Outside a text: one that goes on after what we have.
                inside_text = not inside_text
            elif not mark or inside_text:
                ahead = stop - self._start
                if ahead > self._max_element:
                    dropped, ahead = True, 0
                    self._advance(stop)
                if not self._read_more():
                    return None, b""
                at = self._start + ahead
                continue
            elif depth == 0 and mark in b",]":
                element = self._buffer[self._start : stop].rstrip(b" \t\r\n")
                self._advance(stop + 1)
                return None if dropped or len(element) > self._max_element else element, mark
            elif mark in b"[{":
                depth += 1
            elif mark in b"]}" and depth > 0:
                depth -= 1
            at = stop + 1

    def _advance(self, end: int) -> None:
        self.line += self._buffer.count(b"\n", self._start, end)
        self._start = end

    def _read_more(self) -> bool:
        """Append to what is not taken yet; False at the end of the file."""
        kept = self._buffer[self._start :]
        # Each time twice as much, so that a long element is not copied again and again.
        more = self._text.read(max(_READ_AT_ONCE, len(kept)))
        self._bytes_before_buffer += self._start
        self._buffer = kept + more
        self._start = 0
        return bool(more)
