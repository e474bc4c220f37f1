"""Reads JSON Lines: one row on each line that is not blank."""

from __future__ import annotations

from collections.abc import Iterator
from io import BufferedReader

from fragua_dataset.domain.version_spec import VersionSpec
from fragua_dataset.ingestion.json_rows import parse_row
from fragua_dataset.ingestion.records import Record, too_long

_SKIPPED_AT_ONCE = 1 << 18


def json_lines(text: BufferedReader, spec: VersionSpec) -> Iterator[Record]:
    """Line ends stay on the lines: JSON takes them as white space."""
    limit = spec.max_line_bytes
    number = 0
    while line := text.readline(limit + len(b"\r\n")):
        number += 1
        if len(line) > limit and len(line.rstrip(b"\r\n")) > limit:
            while not line.endswith(b"\n") and (line := text.readline(_SKIPPED_AT_ONCE)):
                pass
            yield Record(number, too_long("the line", limit))
        elif not line.isspace():
            yield Record(number, parse_row(line, spec.max_depth))
