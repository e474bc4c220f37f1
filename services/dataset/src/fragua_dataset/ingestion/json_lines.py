"""Reads JSON Lines: one row on each line that is not blank."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader, BytesIO

from fragua_dataset.domain.version_spec import VersionSpec
from fragua_dataset.ingestion.json_rows import parse_row
from fragua_dataset.ingestion.plain_rows import PlainRows
from fragua_dataset.ingestion.records import Record, too_long

_BLOCK = 256 << 10


@dataclass
class PlainBlock:
    """Lines with an example on each, and nothing wrong with any of them."""

    first_line: int
    keys: list[int]
    """By row: see `canonical.row_key`."""


def json_lines(text: BufferedReader, spec: VersionSpec) -> Iterator[Record]:
    """Line ends stay on the lines: JSON takes them as white space."""
    first_line = 1
    while block := _next_block(text, spec):
        yield from _records(text, block, first_line, spec)
        first_line += _lines_in(block)


def json_line_keys(text: BufferedReader, spec: VersionSpec) -> Iterator[Record | PlainBlock]:
    """The same for those who want no more than to know rows again: what needs no look comes by whole blocks."""
    first_line, plain_rows = 1, PlainRows(spec)
    while block := _next_block(text, spec):
        lines = block if block.endswith(b"\n") else block + b"\n"
        if keys := plain_rows.keys(lines):
            yield PlainBlock(first_line, keys)
            first_line += len(keys)
        else:
            yield from _records(text, block, first_line, spec)
            first_line += _lines_in(block)


def _next_block(text: BufferedReader, spec: VersionSpec) -> bytes:
    """Whole lines, but for a last one that is over the limit."""
    block = text.read(_BLOCK)
    return block if block.endswith(b"\n") else block + text.readline(spec.max_line_bytes + len(b"\r\n"))


def _lines_in(block: bytes) -> int:
    return block.count(b"\n") + (not block.endswith(b"\n"))


def _records(text: BufferedReader, block: bytes, first_line: int, spec: VersionSpec) -> Iterator[Record]:
    limit = spec.max_line_bytes
    for number, line in enumerate(BytesIO(block), first_line):
        if len(line) > limit and len(line.rstrip(b"\r\n")) > limit:
            while not line.endswith(b"\n") and (line := text.readline(_BLOCK)):
                pass
            yield Record(number, too_long("the line", limit))
        elif not line.isspace():
            yield Record(number, parse_row(line, spec.max_depth))
