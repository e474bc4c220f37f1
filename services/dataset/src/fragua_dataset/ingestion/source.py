"""The one input file of an import, read once from start to end: counted, digested and unpacked on the way."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from fragua_dataset.domain.version_report import FileReport
from fragua_dataset.domain.version_spec import VersionSpec
from fragua_dataset.ingestion.compression import LONGEST_MAGIC, Unpacked, archive_of
from fragua_platform.errors import InvalidInput

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BUFFER = 1 << 20


class SourceFile:
    """`on_read` is called before each buffer of bytes or text is read, so it may report, or stop the import."""

    def __init__(self, location: Path, on_read: Callable[[], None]) -> None:
        self.path = _only_file(location)
        self.size = self.path.stat().st_size
        self.on_read = on_read
        self._bytes = _CountedFile(self.path, on_read)
        self._text: io.BufferedReader | None = None

    def text(self, spec: VersionSpec) -> io.BufferedReader:
        """What the file holds, unpacked when it is an archive."""
        archive = archive_of(self._bytes.start)
        unpacked = Unpacked(self._bytes, archive, spec, self.on_read) if archive else self._bytes
        self._text = io.BufferedReader(unpacked, _BUFFER)
        return self._text

    def starts_with(self, magic: bytes) -> bool:
        return self._bytes.start.startswith(magic)

    @property
    def bytes_read(self) -> int:
        return self._bytes.count

    def report(self) -> FileReport:
        """Of all bytes, also of those that nobody asked for."""
        while self._bytes.read(_BUFFER):
            pass
        return FileReport(bytes=self._bytes.count, sha256=self._bytes.sha256())

    def close(self) -> None:
        (self._text or self._bytes).close()


class _CountedFile(io.RawIOBase):
    """The bytes as they arrived."""

    def __init__(self, path: Path, on_read: Callable[[], None]) -> None:
        super().__init__()
        self.count = 0
        self._digest = hashlib.sha256()
        # Digesting takes as long as reading plain rows, and lets go of the interpreter: so both go on at once.
        self._digester = ThreadPoolExecutor(1, thread_name_prefix="digest")
        self._digesting: Future[None] | None = None
        self._on_read = on_read
        self._file = path.open("rb", buffering=0)
        self.start = self._file.read(LONGEST_MAGIC)
        self._file.seek(0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        self._on_read()
        count = self._file.readinto(buffer)
        self.count += count
        self._finish_digesting()
        self._digesting = self._digester.submit(self._digest.update, bytes(memoryview(buffer)[:count]))
        return count

    def sha256(self) -> str:
        self._finish_digesting()
        return self._digest.hexdigest()

    def close(self) -> None:
        self._digester.shutdown()
        self._file.close()
        super().close()

    def _finish_digesting(self) -> None:
        if self._digesting:
            self._digesting.result()


def _only_file(location: Path) -> Path:
    """`inputs/source` is the file itself, or a folder that holds it under its own name."""
    files = sorted(location.iterdir()) if location.is_dir() else [location]
    if len(files) != 1 or not files[0].is_file():
        found = ", ".join(file.name for file in files) if location.is_dir() else "nothing"
        raise InvalidInput(f"inputs/source must be one file; found {found or 'an empty folder'}")
    return files[0]
