"""What is kept of uploads that broke off: their bytes in parts, in the artifact store, where every replica finds them."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from fragua_platform.artifacts.store import ArtifactStore

PART_BYTES: Final = 8 * 1024 * 1024
"""A replica that is killed takes at most so much of an upload with it."""
_FOLDER: Final = "partial-uploads"
_TIME: Final = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Part:
    key: str
    begin: int
    end: int
    kept: datetime


class UploadParts:
    """The parts of one upload. Streams of it that overlap, because one was not yet known to be dead, do no harm."""

    def __init__(self, store: ArtifactStore, dataset: str, request_id: str) -> None:
        self._store = store
        digest = hashlib.sha256(f"{dataset}\n{request_id}".encode()).hexdigest()
        self._folder = f"{_FOLDER}/{dataset.split('/')[1]}/{digest[:32]}"

    async def put(self, begin: int, content: bytes, now: datetime) -> None:
        # No two writers ever want the same key, whatever each of them received.
        name = f"{begin}-{begin + len(content)}-{now:{_TIME}}-{secrets.token_hex(4)}"
        await self._store.put_bytes(f"{self._folder}/{name}", content)

    async def all(self) -> list[Part]:
        """Those that follow each other without a gap from the first byte on."""
        found = [_part(key) async for key in self._store.list(self._folder)]
        chain: list[Part] = []
        end = 0
        while fitting := [part for part in found if part.begin <= end < part.end]:
            chain.append(max(fitting, key=lambda part: part.end))
            end = chain[-1].end
        return chain

    async def read(self, end: int) -> AsyncIterator[bytes]:
        """The first `end` bytes. Whoever puts the file together checks its digest."""
        place = 0
        for part in await self.all():
            if place >= end:
                return
            ref = await self._store.stat(part.key)
            async for chunk in self._store.read(ref, offset=place - part.begin):
                piece = chunk[: end - place]
                place += len(piece)
                if piece:
                    yield piece

    async def discard(self) -> None:
        async for key in self._store.list(self._folder):
            await self._store.delete(key)


async def forget_parts(store: ArtifactStore, before: datetime) -> int:
    """Remove uploads of which nothing came since `before`; returns the number of parts."""
    newest: dict[str, datetime] = {}
    parts = [_part(key) async for key in store.list(_FOLDER)]
    for part in parts:
        folder = part.key.rpartition("/")[0]
        newest[folder] = max(part.kept, newest.get(folder, part.kept))
    old = [part for part in parts if newest[part.key.rpartition("/")[0]] < before]
    for part in old:
        await store.delete(part.key)
    return len(old)


def _part(key: str) -> Part:
    begin, end, kept, _ = key.rpartition("/")[2].split("-")
    return Part(key, int(begin), int(end), datetime.strptime(kept, _TIME).replace(tzinfo=UTC))
