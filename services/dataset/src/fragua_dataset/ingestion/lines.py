"""Reads a file line by line in bounded memory and digests it on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fragua_dataset.domain.import_spec import FileReport
from fragua_platform.errors import InvalidData, InvalidInput

_BUFFER = 1 << 20
_UTF8_BOM = b"\xef\xbb\xbf"

_OTHER_FORMATS = {
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"\x1f\x8b": "a gzip archive",
    b"PK\x03\x04": "a zip archive or an Office file",
    b"PAR1": "a Parquet file",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"[": "one JSON array",
}
"""First bytes of what people upload in place of JSON Lines."""


@dataclass(frozen=True)
class Line:
    number: int
    content: bytes | None
    """None when the line is longer than the limit; it was skipped without keeping it."""


class SourceFile:
    """The one input file of an import, read once from start to end."""

    def __init__(self, location: Path) -> None:
        self.path = _only_file(location)
        self.size = self.path.stat().st_size
        self.bytes_read = 0
        self._digest = hashlib.sha256()

    def refuse_other_formats(self) -> None:
        with self.path.open("rb") as source:
            start = source.read(64).removeprefix(_UTF8_BOM).lstrip(b" \t\r\n")
        for magic, name in _OTHER_FORMATS.items():
            if start.startswith(magic):
                raise InvalidData(
                    f"the file is {name}, expected JSON Lines: UTF-8 text with one JSON object on each line",
                    reason="UNSUPPORTED_FORMAT",
                )

    def lines(self, max_bytes: int) -> Iterator[Line]:
        """Every line without its byte order mark; line ends stay, JSON takes them as white space."""
        with self.path.open("rb", buffering=_BUFFER) as source:
            number = 0
            while chunk := source.readline(max_bytes + len(b"\r\n")):
                number += 1
                self._count(chunk)
                content: bytes | None = chunk.removeprefix(_UTF8_BOM) if number == 1 else chunk
                if len(chunk.rstrip(b"\r\n")) > max_bytes:
                    content = None
                    while not chunk.endswith(b"\n") and (chunk := source.readline(_BUFFER)):
                        self._count(chunk)
                yield Line(number, content)

    def report(self) -> FileReport:
        """Valid once `lines` has come to its end."""
        return FileReport(bytes=self.bytes_read, sha256=self._digest.hexdigest())

    def _count(self, chunk: bytes) -> None:
        self.bytes_read += len(chunk)
        self._digest.update(chunk)


def _only_file(location: Path) -> Path:
    """`inputs/source` is the file itself, or a folder that holds it under its own name."""
    files = sorted(location.iterdir()) if location.is_dir() else [location]
    if len(files) != 1 or not files[0].is_file():
        found = ", ".join(file.name for file in files) if location.is_dir() else "nothing"
        raise InvalidInput(f"inputs/source must be one file; found {found or 'an empty folder'}")
    return files[0]
