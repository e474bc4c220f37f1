"""Takes in a file from a stream: to a temporary file first, then whole into the artifact store."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from fragua_dataset.application.upload_parts import PART_BYTES, UploadParts, forget_parts
from fragua_dataset.domain.version_order import SourceObject
from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.artifacts.transfer import disk_errors
from fragua_platform.errors import (
    Corrupted,
    FailedPrecondition,
    FraguaError,
    InvalidInput,
    LimitExceeded,
    NotFound,
    Violation,
)
from fragua_platform.jobs.workplace import own_workplace

log = structlog.get_logger()

KEPT_FOR: Final = timedelta(days=1)
"""How long the bytes of a stream that broke wait for the next one."""
_SECONDS_BETWEEN_COLLECTIONS: Final = 3600.0


@dataclass(frozen=True)
class Announcement:
    """What a client says of a file before it sends it."""

    dataset: str
    """`branches/{branch}/datasets/{dataset}`"""
    request_id: str
    size: int | None = None
    sha256: str = ""
    resumable: bool = False
    """Keep what came when the stream breaks."""
    offset: int = 0
    """Where this stream begins."""


@dataclass(frozen=True)
class KeptUpload:
    received_bytes: int
    expires: datetime


class Uploads:
    """A stream that breaks leaves nothing behind, unless it is resumable: then what came is kept in the artifact store.

    So the next stream may reach any replica, and a replica that is killed takes only the last part with it.
    """

    def __init__(
        self,
        store: ArtifactStore,
        directory: Path,
        limit: int,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._directory = directory
        self._limit = limit
        self._clock = clock

    async def receive(self, announced: Announcement, chunks: AsyncIterator[bytes]) -> SourceObject:
        """Store the file under its own digest, so that the same bytes again cost nothing."""
        _check(announced)
        parts = UploadParts(self._store, announced.dataset, announced.request_id)
        with disk_errors(str(self._directory)), own_workplace(self._directory) as place:
            async with aclosing(_IncomingFile(place / "file", self._limit, announced.size)) as file:
                try:
                    if announced.resumable:
                        await self._take_and_keep(chunks, file, announced, parts)
                    else:
                        async for chunk in chunks:
                            await file.write(chunk)
                        await file.settle()
                    _hold_to_announcement(announced, file)
                except (InvalidInput, LimitExceeded):
                    if announced.resumable:
                        # What came will never be right, so the next stream shall not go on from it.
                        await parts.discard()
                    raise
            key = f"uploads/{announced.dataset.split('/')[1]}/{file.sha256}"
            ref = await self._store.move_file(key, file.path, sha256=file.sha256)
        if announced.resumable:
            await parts.discard()
        return SourceObject(key=ref.key, size=ref.size, sha256=ref.sha256)

    async def kept(self, dataset: str, request_id: str) -> KeptUpload:
        parts = await UploadParts(self._store, dataset, request_id).all()
        if not parts:
            raise NotFound(f"nothing is kept of request_id {request_id!r} for {dataset}; begin at 0")
        return KeptUpload(parts[-1].end, max(part.kept for part in parts) + KEPT_FOR)

    async def collect(self) -> None:
        """Once an hour, for as long as it runs. Several at once do no harm: they remove the same parts."""
        while True:
            try:
                if count := await forget_parts(self._store, self._clock() - KEPT_FOR):
                    log.info("partial_uploads_forgotten", parts=count)
            except FraguaError as error:
                log.warning("partial_uploads_left_behind", reason=error.reason, message=error.message)
            await asyncio.sleep(_SECONDS_BETWEEN_COLLECTIONS)

    async def _take_and_keep(
        self, chunks: AsyncIterator[bytes], file: _IncomingFile, announced: Announcement, parts: UploadParts
    ) -> None:
        await self._begin(file, announced.offset, parts)
        unkept = bytearray()
        try:
            async for chunk in chunks:
                await file.write(chunk)
                unkept += chunk
                if len(unkept) >= PART_BYTES:
                    await self._keep(file, unkept, parts)
            await file.settle()
        except BaseException:
            # A client that went away cancels us; what it sent is worth the little time all the same.
            await self._keep_rest(file, unkept, parts)
            raise
        if announced.size is not None and file.size < announced.size:
            await self._keep_rest(file, unkept, parts)
            message = f"{announced.size} bytes were announced, {file.size} came; go on with offset {file.size}"
            problem = Violation("header.size_bytes", message)
            raise FailedPrecondition(message, violations=[problem], reason="UPLOAD_INCOMPLETE")

    async def _begin(self, file: _IncomingFile, offset: int, parts: UploadParts) -> None:
        if offset == 0:
            await parts.discard()
            return
        try:
            async for chunk in parts.read(offset):
                await file.write(chunk)
        except (Corrupted, NotFound) as broken:
            await parts.discard()
            raise _wrong_offset(offset, 0) from broken
        if file.size < offset:
            raise _wrong_offset(offset, file.size)

    async def _keep(self, file: _IncomingFile, unkept: bytearray, parts: UploadParts) -> None:
        await parts.put(file.size - len(unkept), bytes(unkept), self._clock())
        unkept.clear()

    async def _keep_rest(self, file: _IncomingFile, unkept: bytearray, parts: UploadParts) -> None:
        if not unkept:
            return
        try:
            await asyncio.shield(self._keep(file, unkept, parts))
        except FraguaError as error:
            log.warning("upload_rest_lost", bytes=len(unkept), reason=error.reason, message=error.message)


class _IncomingFile:
    """Counted and hashed while it is written; the next chunk may arrive meanwhile."""

    def __init__(self, path: Path, limit: int, announced_size: int | None) -> None:
        self.path = path
        self.size = 0
        self._limit = limit
        self._announced_size = announced_size
        self._digest = hashlib.sha256()
        self._file = path.open("wb", buffering=0)
        self._writing: asyncio.Future[None] | None = None

    @property
    def sha256(self) -> str:
        """Of what has settled."""
        return self._digest.hexdigest()

    async def write(self, chunk: bytes) -> None:
        if self.size + len(chunk) > self._limit:
            raise LimitExceeded(f"the file is larger than the limit of {self._limit} bytes (FRAGUA_MAX_UPLOAD_BYTES)")
        if self._announced_size is not None and self.size + len(chunk) > self._announced_size:
            problem = Violation("header.size_bytes", f"{self._announced_size} bytes were announced, and more came")
            raise InvalidInput(problem.description, violations=[problem], reason="UPLOAD_REFUSED")
        await self.settle()
        self.size += len(chunk)
        self._writing = asyncio.ensure_future(asyncio.to_thread(self._write, chunk))

    async def settle(self) -> None:
        """Wait until what was given is written; whoever stops waiting leaves it to be written."""
        if self._writing:
            await asyncio.shield(self._writing)

    def _write(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:
            rest = rest[self._file.write(rest) :]
        self._digest.update(chunk)

    async def aclose(self) -> None:
        if self._writing:
            # What became of it was told to whoever gave it, or nobody asks any more.
            await asyncio.gather(self._writing, return_exceptions=True)
        self._file.close()


def _check(announced: Announcement) -> None:
    problems = []
    if announced.resumable and (announced.size is None or not announced.sha256):
        way_out = "needs size_bytes and sha256: they tell whether what was put together is the file"
        problems.append(Violation("header.resumable", way_out))
    if announced.offset and not announced.resumable:
        problems.append(Violation("header.offset", "nothing is kept of streams that are not resumable; begin at 0"))
    if announced.size is not None and announced.offset > announced.size:
        problems.append(Violation("header.offset", f"lies behind the {announced.size} bytes of the file"))
    if problems:
        raise InvalidInput("; ".join(problem.description for problem in problems), violations=problems)


def _wrong_offset(offset: int, kept: int) -> FailedPrecondition:
    problem = Violation("header.offset", f"{kept} bytes are kept, so no stream can begin at {offset}; ask GetUpload")
    return FailedPrecondition(problem.description, violations=[problem], reason="UPLOAD_OFFSET")


def _hold_to_announcement(announced: Announcement, file: _IncomingFile) -> None:
    problems = []
    if file.size == 0:
        problems.append(Violation("chunk", "the file is empty"))
    if announced.size is not None and file.size != announced.size:
        problems.append(Violation("header.size_bytes", f"{announced.size} bytes were announced, {file.size} came"))
    if announced.sha256 and file.sha256 != announced.sha256:
        problems.append(Violation("header.sha256", "the bytes that came have another digest; send the file again"))
    if problems:
        message = "; ".join(problem.description for problem in problems)
        raise InvalidInput(message, violations=problems, reason="UPLOAD_REFUSED")
