"""Unpacks gzip and zstd piece by piece, and refuses archives that are cut, broken or made to burst."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import zstandard

from fragua_dataset.domain.version_spec import VersionSpec
from fragua_platform.errors import InvalidData, LimitExceeded

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_HARMLESS_BYTES = 16 << 20
"""Up to here the ratio does not matter: a small file of equal rows packs very well."""
_MAX_WINDOW = 128 << 20
"""What a zstd frame may ask us to remember; the `zstd` command has the same limit."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, packed: bytes, /) -> bytes: ...


@dataclass(frozen=True)
class Archive:
    name: str
    magic: bytes
    decompressor: Callable[[], _Decompressor]
    piece: int
    """Packed bytes that are unpacked at once. The densest gzip grows 1,032 times and the densest zstd 32,768 times,
    so no piece takes more than 32 MiB, whatever an attacker packs."""


_ARCHIVES = (
    Archive("gzip", b"\x1f\x8b", lambda: zlib.decompressobj(wbits=16 + zlib.MAX_WBITS), 16 << 10),
    Archive(
        "zstd",
        b"\x28\xb5\x2f\xfd",
        lambda: zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).decompressobj(),
        1 << 10,
    ),
)

LONGEST_MAGIC = max(len(archive.magic) for archive in _ARCHIVES)


def archive_of(start: bytes) -> Archive | None:
    """What the first bytes of a file say; None when it is no archive."""
    return next((archive for archive in _ARCHIVES if start.startswith(archive.magic)), None)


class Unpacked(io.RawIOBase):
    """The content of an archive, however many members or frames it was written in."""

    def __init__(self, packed: io.RawIOBase, archive: Archive, spec: VersionSpec, on_read: Callable[[], None]) -> None:
        super().__init__()
        self._packed = io.BufferedReader(packed, 1 << 18)
        self._archive = archive
        self._spec = spec
        self._on_read = on_read
        self._decompressor = archive.decompressor()
        self._left_over = b""
        self._pending = memoryview(b"")
        self._bytes_in = self._bytes_out = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fills the buffer unless the archive ends, so that its reader can look ahead."""
        self._on_read()
        target = memoryview(buffer)
        filled = 0
        while filled < len(target) and (self._pending or self._unpack_more()):
            count = min(len(target) - filled, len(self._pending))
            target[filled : filled + count] = self._pending[:count]
            self._pending = self._pending[count:]
            filled += count
        return filled

    def close(self) -> None:
        self._packed.close()
        super().close()

    def _unpack_more(self) -> bool:
        """False at the end of the archive."""
        while not self._pending:
            packed = self._left_over or self._packed.read(self._archive.piece)
            self._bytes_in += len(packed) - len(self._left_over)
            self._left_over = b""
            if not packed:
                self._refuse_a_cut_archive()
                return False
            self._pending = memoryview(self._decompress(packed))
            self._bytes_out += len(self._pending)
            self._refuse_bombs()
        return True

    def _decompress(self, packed: bytes) -> bytes:
        if self._decompressor.eof:
            # Tapes and block devices pad with zeros after the last member.
            packed = packed.lstrip(b"\0")
            if not packed:
                return b""
            self._decompressor = self._archive.decompressor()
        try:
            text = self._decompressor.decompress(packed)
        except (zlib.error, zstandard.ZstdError) as broken:
            raise InvalidData(
                f"the {self._archive.name} archive is broken after {self._bytes_out} bytes of text ({broken}): "
                "pack and upload it again",
                reason="CORRUPT_ARCHIVE",
            ) from broken
        if self._decompressor.eof:
            self._left_over = self._decompressor.unused_data
        return text

    def _refuse_a_cut_archive(self) -> None:
        if not self._decompressor.eof:
            raise InvalidData(
                f"the {self._archive.name} archive ends in the middle, after {self._bytes_out} bytes of text: "
                "it was cut on the way; pack and upload it again",
                reason="TRUNCATED_ARCHIVE",
            )

    def _refuse_bombs(self) -> None:
        if self._bytes_out > self._spec.max_unpacked_bytes:
            raise LimitExceeded(
                f"the {self._archive.name} archive holds more than {self._spec.max_unpacked_bytes} bytes; "
                "raise max_unpacked_bytes or divide the file"
            )
        if self._bytes_out > max(_HARMLESS_BYTES, self._bytes_in * self._spec.max_unpacked_ratio):
            raise InvalidData(
                f"the {self._archive.name} archive unpacks to more than {self._spec.max_unpacked_ratio} times its "
                "size, as decompression bombs do; upload the file unpacked, or raise max_unpacked_ratio",
                reason="DECOMPRESSION_BOMB",
            )
