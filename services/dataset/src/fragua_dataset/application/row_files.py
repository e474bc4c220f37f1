"""Files of versions on this machine, for looking into them: fetched once and verified on the way."""

from __future__ import annotations

import asyncio
import io
import os
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from fragua_platform.artifacts.manifest import ManifestFile
from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.artifacts.transfer import disk_errors

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BUFFER = 1 << 18


class RowFiles:
    """Holds files of at most `max_bytes` together, or a single larger one; the one that nobody asked for longest goes.

    They have no names on the disk, so nothing of them outlives the process, however it ends.
    """

    def __init__(self, store: ArtifactStore, directory: Path, max_bytes: int) -> None:
        self._store = store
        self._directory = directory
        self._max_bytes = max_bytes
        self._fetches: dict[str, asyncio.Task[_Held]] = {}
        """By digest, the longest unused one first."""
        self._sizes: dict[str, int] = {}

    async def open(self, file: ManifestFile) -> io.BufferedReader:
        """A reader of one's own, to be closed; `Corrupted` when the stored bytes are not those of the manifest."""
        fetch = self._fetches.pop(file.sha256, None)
        if fetch is None:
            self._make_room(file.size)
            fetch = asyncio.create_task(self._fetch(file))
            fetch.add_done_callback(lambda task: self._forget_failed(file.sha256, task))
        self._fetches[file.sha256] = fetch
        self._sizes[file.sha256] = file.size
        # Whoever cannot wait for a large file finds more of it the next time, so their leaving does not end the fetch.
        held = await asyncio.shield(fetch)
        return io.BufferedReader(_OwnPlace(held.file.fileno()), _BUFFER)

    def _make_room(self, size: int) -> None:
        there = [digest for digest, fetch in self._fetches.items() if fetch.done()]
        while there and sum(self._sizes.values()) + size > self._max_bytes:
            self._forget(there.pop(0))

    def _forget_failed(self, digest: str, fetch: asyncio.Task[_Held]) -> None:
        if fetch.cancelled() or fetch.exception():
            self._forget(digest)

    def _forget(self, digest: str) -> None:
        self._fetches.pop(digest, None)
        self._sizes.pop(digest, None)

    async def _fetch(self, file: ManifestFile) -> _Held:
        with disk_errors(str(self._directory)):
            await asyncio.to_thread(self._directory.mkdir, parents=True, exist_ok=True)
            held = tempfile.TemporaryFile(dir=self._directory, buffering=0)  # noqa: SIM115  # `open` hands it on
            try:
                async for chunk in self._store.read(file.ref):
                    await asyncio.to_thread(held.write, chunk)
            except BaseException:
                held.close()
                raise
        return _Held(held)


class _Held:
    """Closed when nobody wants it any more, neither the cache nor whoever was just about to read it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        weakref.finalize(self, file.close)


class _OwnPlace(io.RawIOBase):
    """Reads an open file from a place of its own, whoever else reads it and whether or not it is closed meanwhile."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = os.dup(descriptor)
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: os.fstat(self._descriptor).st_size}
        self._place = base[whence] + offset
        return self._place

    def readinto(self, buffer: WriteableBuffer) -> int:
        count = os.preadv(self._descriptor, [buffer], self._place)
        self._place += count
        return count

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()
