"""Bytes on their way between a store and this machine: hashed as they pass, refused when they are wrong."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fragua_platform.artifacts.store import ArtifactRef
from fragua_platform.errors import (
    AlreadyExists,
    Corrupted,
    FailedPrecondition,
    FraguaError,
    InvalidInput,
    LimitExceeded,
    Unavailable,
)

CHUNK = 1024 * 1024


def digest_rest(read: Callable[[int], bytes]) -> tuple[int, str]:
    """Size and sha256 of what is left to read."""
    digest = hashlib.sha256()
    size = 0
    while chunk := read(CHUNK):
        digest.update(chunk)
        size += len(chunk)
    return size, digest.hexdigest()


async def verified_chunks(read: Callable[[int], bytes], ref: ArtifactRef, offset: int = 0) -> AsyncIterator[bytes]:
    """What `read` gives, chunk by chunk, until its end or until it cannot be `ref` any more.

    The last chunk is held back until everything is checked, so a reader that trusts a complete stream is never fooled.
    """
    digest = hashlib.sha256()
    position = offset

    def read_and_hash() -> bytes:
        chunk = read(CHUNK)
        digest.update(chunk)
        return chunk

    held_back = b""
    while chunk := await asyncio.to_thread(read_and_hash):
        position += len(chunk)
        if position > ref.size:
            raise Corrupted(f"{ref.key} is longer than its {ref.size} bytes")
        if held_back:
            yield held_back
        held_back = chunk
    if position != ref.size:
        raise Corrupted(f"{ref.key} ends after {position} of its {ref.size} bytes")
    if offset == 0 and digest.hexdigest() != ref.sha256:
        raise Corrupted(f"{ref.key} has sha256 {digest.hexdigest()} instead of {ref.sha256}")
    if held_back:
        yield held_back


def check_offset(ref: ArtifactRef, offset: int) -> None:
    if not 0 <= offset <= ref.size:
        raise InvalidInput(f"offset {offset} is outside of {ref.key}, which has {ref.size} bytes")


def check_content(key: str, content: bytes, sha256: str | None) -> None:
    if sha256 is not None and (actual := hashlib.sha256(content).hexdigest()) != sha256:
        raise Corrupted(f"{key} has sha256 {actual} instead of {sha256}")


def check_same(existing: ArtifactRef, ref: ArtifactRef) -> None:
    """Whoever wrote it first, all is well when the bytes are those of `ref`."""
    if existing != ref:
        raise AlreadyExists(f"{ref.key} already exists with other bytes; objects are never overwritten")


async def save(chunks: AsyncIterator[bytes], target: Path) -> None:
    """Write `chunks` to `target`, which appears only when the last one was written."""
    partial = target.parent / f".partial-{secrets.token_hex(8)}"
    try:
        with disk_errors(str(target)):
            await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
            with await asyncio.to_thread(partial.open, "xb") as file:
                async for chunk in chunks:
                    await asyncio.to_thread(file.write, chunk)
            await asyncio.to_thread(partial.replace, target)
    finally:
        partial.unlink(missing_ok=True)


def open_source(source: Path) -> BinaryIO:
    try:
        return source.open("rb")
    except OSError as error:
        raise InvalidInput(f"{source} cannot be stored: {error.strerror}") from error


@contextmanager
def disk_errors(place: str) -> Iterator[None]:
    """Turn what the operating system says about `place` into the families of the suite."""
    try:
        yield
    except OSError as error:
        raise _disk_error(error, place) from error


def _disk_error(error: OSError, place: str) -> FraguaError:
    match error.errno:
        case errno.EEXIST | errno.ENOTDIR | errno.EISDIR:
            return AlreadyExists(f"{place}: the name is taken by another file or folder")
        case errno.ENOSPC | errno.EDQUOT:
            return LimitExceeded(f"{place}: the disk or its quota is full; free some space and try again")
        case errno.EFBIG:
            return LimitExceeded(f"{place}: the file is larger than the file system or `ulimit -f` allows")
        case errno.EACCES | errno.EPERM | errno.EROFS | errno.ENOTSUP:
            return FailedPrecondition(
                f"{place}: {error.strerror}; the folder must be writable by this user, "
                "on a file system that knows hard links"
            )
        case _:
            return Unavailable(f"{place}: {error.strerror or error}")
