"""The files of a version: they get their names when they are complete, and their digests while they are written."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fragua_dataset.domain.version_report import FileReport


class OutputFile:
    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._path = path
        self._partial = path.with_suffix(".partial")
        self._bytes = 0
        self._digest = hashlib.sha256()
        self._stream = self._partial.open("wb", buffering=1 << 20)

    def write(self, row: bytes) -> None:
        self._stream.write(row)
        self._digest.update(row)
        self._bytes += len(row)

    def finish(self) -> FileReport:
        self._stream.close()
        self._partial.replace(self._path)
        return FileReport(bytes=self._bytes, sha256=self._digest.hexdigest())

    def close(self) -> None:
        """Leave no trace of an unfinished file."""
        self._stream.close()
        self._partial.unlink(missing_ok=True)
