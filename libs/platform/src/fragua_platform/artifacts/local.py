"""The artifact store in a directory of this machine: the embedded default, and what the distributed one must match."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from fragua_platform.artifacts.keys import check_key, check_prefix
from fragua_platform.artifacts.store import ArtifactRef
from fragua_platform.artifacts.transfer import (
    CHUNK,
    check_content,
    check_offset,
    check_same,
    digest_rest,
    disk_errors,
    open_source,
    save,
    verified_chunks,
)
from fragua_platform.errors import (
    AlreadyExists,
    Corrupted,
    FailedPrecondition,
    InvalidInput,
    LimitExceeded,
    NotFound,
    Unavailable,
)

INCOMING = ".incoming"
"""Folder of files that are still being written; on the same file system, so that a link can publish them."""
ABANDONED_AFTER = timedelta(days=1)
"""A living writer touches its file far more often; an older one belonged to a process that was killed."""


class LocalArtifactStore:
    """An object is a plain file at its key below `root`.

    A hard link creates it: that is atomic, and fails when the name is taken, which a rename would silently replace.
    Unlike on S3, a key cannot be both an object and a folder of others; the later one of the two is `AlreadyExists`.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._incoming = self._root / INCOMING
        with disk_errors(f"artifact store {self._root}"):
            self._incoming.mkdir(parents=True, exist_ok=True)
            self._clear_abandoned()

    async def put_file(self, key: str, source: Path) -> ArtifactRef:
        return await asyncio.to_thread(self._put, key, lambda: open_source(source))

    async def move_file(self, key: str, source: Path, *, sha256: str) -> ArtifactRef:
        return await asyncio.to_thread(self._move, key, source, sha256)

    async def put_bytes(self, key: str, content: bytes) -> ArtifactRef:
        return await asyncio.to_thread(self._put, key, lambda: BytesIO(content))

    async def get_file(self, ref: ArtifactRef, target: Path) -> None:
        await save(self.read(ref), target)

    async def get_bytes(self, key: str, *, sha256: str | None = None, limit: int = 16 * 1024 * 1024) -> bytes:
        content = await asyncio.to_thread(self._read_at_most, key, limit)
        check_content(key, content, sha256)
        return content

    async def read(self, ref: ArtifactRef, *, offset: int = 0) -> AsyncIterator[bytes]:
        check_offset(ref, offset)
        with await asyncio.to_thread(self._open, ref.key) as file:
            if (size := os.fstat(file.fileno()).st_size) != ref.size:
                raise Corrupted(f"{ref.key} has {size} bytes instead of {ref.size}")
            file.seek(offset)

            def read(size: int) -> bytes:
                with disk_errors(ref.key):
                    return file.read(size)

            async for chunk in verified_chunks(read, ref, offset):
                yield chunk

    async def stat(self, key: str) -> ArtifactRef:
        return await asyncio.to_thread(self._stat, key)

    async def list(self, prefix: str) -> AsyncIterator[str]:
        for key in await asyncio.to_thread(self._keys_below, check_prefix(prefix)):
            yield key

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(self._delete, key)

    async def presign_download(self, key: str, expires: timedelta) -> str:
        check_key(key)
        raise FailedPrecondition("a local artifact store has no links; set FRAGUA_ARTIFACTS_URL to an s3:// store")

    async def check(self) -> None:
        await asyncio.to_thread(self._check_present)

    def _put(self, key: str, open_content: Callable[[], BinaryIO]) -> ArtifactRef:
        path = self._path(key)
        with self._incoming_file() as temporary:
            with open_content() as content, disk_errors(key):
                ref = _write_durably(key, content, temporary)
            self._publish(temporary, path, ref)
        return ref

    def _move(self, key: str, source: Path, sha256: str) -> ArtifactRef:
        path = self._path(key)
        self._check_present()
        with open_source(source) as file, disk_errors(key):
            os.fsync(file.fileno())
            ref = ArtifactRef(key, os.fstat(file.fileno()).st_size, sha256)
        with self._incoming_file() as temporary:
            try:
                os.link(source, temporary)
            except OSError:
                # It lies on another file system, or on one that knows no links.
                ref = self._put(key, lambda: open_source(source))
                if ref.sha256 != sha256:
                    raise Corrupted(f"{source} has sha256 {ref.sha256} instead of {sha256}") from None
                return ref
            self._publish(temporary, path, ref)
        return ref

    def _publish(self, temporary: Path, path: Path, ref: ArtifactRef) -> None:
        try:
            with disk_errors(ref.key):
                self._make_folders(path.parent)
                os.link(temporary, path)
                _sync_directory(path.parent)
        except AlreadyExists:
            check_same(self._taken(ref.key), ref)

    def _taken(self, key: str) -> ArtifactRef:
        try:
            return self._stat(key)
        except NotFound as missing:
            raise AlreadyExists(f"{key}: one of its folders is an object, or its name is a folder") from missing

    @contextmanager
    def _incoming_file(self) -> Iterator[Path]:
        temporary = self._incoming / secrets.token_hex(16)
        self._check_present()
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    def _make_folders(self, folder: Path) -> None:
        """Like mkdir -p, but each new folder survives a power cut, and the root is never made anew."""
        if folder.is_dir():
            return
        self._make_folders(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_directory(folder.parent)

    def _open(self, key: str) -> BinaryIO:
        path = self._path(key)
        with disk_errors(key):
            try:
                return path.open("rb")
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
                self._check_present()
                raise NotFound(f"no artifact {key}") from error

    def _read_at_most(self, key: str, limit: int) -> bytes:
        with self._open(key) as file, disk_errors(key):
            content = file.read(limit + 1)
        if len(content) > limit:
            raise LimitExceeded(f"{key} has more than the {limit} bytes that are read at once; stream it instead")
        return content

    def _stat(self, key: str) -> ArtifactRef:
        with self._open(key) as file, disk_errors(key):
            size, sha256 = digest_rest(file.read)
        return ArtifactRef(key, size, sha256)

    def _keys_below(self, folder: str) -> Sequence[str]:
        self._check_present()
        keys = []
        for directory, folders, files in os.walk(self._path(folder) if folder else self._root):
            if directory == str(self._root):
                folders.remove(INCOMING)
            below = Path(directory).relative_to(self._root)
            keys += [(below / name).as_posix() for name in files]
        return sorted(keys)

    def _delete(self, key: str) -> None:
        path = self._path(key)
        self._check_present()
        with disk_errors(key):
            try:
                path.unlink()
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                return
            if path.parent.is_dir():
                _sync_directory(path.parent)

    def _path(self, key: str) -> Path:
        check_key(key)
        path = self._root / key
        for place in (path, *path.parents):
            if place == self._root:
                break
            if place.is_symlink():
                raise InvalidInput(f"{key} passes through a symbolic link, which may lead out of the store; remove it")
        return path

    def _check_present(self) -> None:
        if not self._incoming.is_dir():
            raise Unavailable(f"artifact store {self._root} is gone; mount or restore the folder")

    def _clear_abandoned(self) -> None:
        for path in self._incoming.iterdir():
            if time.time() - path.stat().st_mtime > ABANDONED_AFTER.total_seconds():
                path.unlink(missing_ok=True)


def _write_durably(key: str, content: BinaryIO, target: Path) -> ArtifactRef:
    digest = hashlib.sha256()
    size = 0
    with target.open("xb") as file:
        while chunk := content.read(CHUNK):
            digest.update(chunk)
            size += file.write(chunk)
        # Before the name exists, so that a power cut cannot leave a name without its bytes.
        file.flush()
        os.fsync(file.fileno())
    return ArtifactRef(key, size, digest.hexdigest())


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
