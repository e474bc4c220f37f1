"""The artifact store in a bucket of any S3 server with conditional writes, through the `minio` client."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO, ParamSpec, TypeVar

from minio import Minio
from minio.error import S3Error
from urllib3 import BaseHTTPResponse

from fragua_platform.artifacts.keys import check_key, check_prefix
from fragua_platform.artifacts.s3_client import SHA256_HEADER, connect, s3_errors
from fragua_platform.artifacts.store import ArtifactRef
from fragua_platform.artifacts.transfer import (
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
    FraguaError,
    InvalidInput,
    LimitExceeded,
    NotFound,
    Unavailable,
)

PART_SIZE = 16 * 1024 * 1024
"""A file up to this size is one request; of a larger one, one part at a time is in memory."""
MAX_FILE_SIZE = 10_000 * PART_SIZE
"""S3 takes at most 10,000 parts."""
CHECK_SECONDS = 3.0
"""How long a readiness probe waits."""
MAX_LINK_LIFE = timedelta(days=7)
"""The signature of a link is not valid for longer."""
PAGE = 1000

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class S3Location:
    bucket: str
    endpoint: str
    """`http://host:port` or `https://…`, as the services reach it."""
    region: str = "us-east-1"
    prefix: str = ""
    """Folder of a bucket that others use too; empty for the whole bucket."""
    public_endpoint: str = ""
    """As those reach it who get links, where that is another address."""


class S3ArtifactStore:
    """The digest of an object is kept beside it as `x-amz-meta-sha256`.

    A writer that is killed in a multipart upload leaves parts that nobody sees. MinIO removes them after a day;
    elsewhere the bucket needs a lifecycle rule (AbortIncompleteMultipartUpload).
    """

    def __init__(self, location: S3Location, *, access_key: str, secret_key: str) -> None:
        self._at = location
        client = partial(connect, region=location.region, access_key=access_key, secret_key=secret_key)
        self._client = client(location.endpoint)
        self._prober = client(location.endpoint, seconds=CHECK_SECONDS, retries=0)
        self._link_signer = client(location.public_endpoint or location.endpoint)
        self._bucket_found = False
        self._refuses_overwrites = False

    async def put_file(self, key: str, source: Path) -> ArtifactRef:
        check_key(key)
        with await asyncio.to_thread(open_source, source) as file, disk_errors(str(source)):
            head = await asyncio.to_thread(file.read, PART_SIZE + 1)
            if len(head) <= PART_SIZE:
                return await self.put_bytes(key, head)
            del head
            return await self._put_in_parts(key, file)

    async def move_file(self, key: str, source: Path, *, sha256: str) -> ArtifactRef:
        ref = await self.put_file(key, source)
        if ref.sha256 != sha256:
            raise Corrupted(f"{source} has sha256 {ref.sha256} instead of {sha256}")
        return ref

    async def put_bytes(self, key: str, content: bytes) -> ArtifactRef:
        check_key(key)
        ref = ArtifactRef(key, len(content), hashlib.sha256(content).hexdigest())
        # A server that does not know the condition would ignore it and overwrite in silence. So the first object of
        # each process is sent twice: the second time must be refused. Every manifest comes this way.
        times = 1 if self._refuses_overwrites else 2
        try:
            for _ in range(times):
                await self._call(key, self._client.create_object, self._at.bucket, self._name(key), content, ref.sha256)
        except AlreadyExists:
            self._refuses_overwrites = True
            check_same(await self._taken(key), ref)
        if not self._refuses_overwrites:
            raise FailedPrecondition(
                f"S3 at {self._at.endpoint} overwrites objects in spite of If-None-Match, so two writers could both "
                "win; use AWS S3, MinIO or RustFS since 2025-09, or another server with conditional writes"
            )
        return ref

    async def get_file(self, ref: ArtifactRef, target: Path) -> None:
        await save(self.read(ref), target)

    async def get_bytes(self, key: str, *, sha256: str | None = None, limit: int = 16 * 1024 * 1024) -> bytes:
        check_key(key)
        content, recorded = await self._call(key, self._read_at_most, key, limit)
        check_content(key, content, sha256 or recorded)
        return content

    async def read(self, ref: ArtifactRef, *, offset: int = 0) -> AsyncIterator[bytes]:
        check_key(ref.key)
        check_offset(ref, offset)
        if offset == ref.size > 0:
            # S3 has no empty ranges.
            if (await self.stat(ref.key)).size != ref.size:
                raise Corrupted(f"{ref.key} has not its {ref.size} bytes")
            return
        with closing(await self._call(ref.key, self._open, ref.key, offset)) as response:

            def read(size: int) -> bytes:
                with self._errors(ref.key):
                    return response.read(size, decode_content=False)

            async for chunk in verified_chunks(read, ref, offset):
                yield chunk

    async def stat(self, key: str) -> ArtifactRef:
        check_key(key)
        return await self._call(key, self._stat, key)

    async def list(self, prefix: str) -> AsyncIterator[str]:
        folder = self._name(check_prefix(prefix))
        start = f"{folder}/" if folder else ""
        objects = self._client.list_objects(self._at.bucket, prefix=start, recursive=True)
        while page := await self._call(start, lambda: list(islice(objects, PAGE))):
            for found in page:
                # Consoles mark empty folders by objects whose names end in a slash.
                if not found.is_dir:
                    yield found.object_name.removeprefix(self._name("")).removeprefix("/")

    async def delete(self, key: str) -> None:
        check_key(key)
        await self._call(key, self._client.remove_object, self._at.bucket, self._name(key))

    async def presign_download(self, key: str, expires: timedelta) -> str:
        if not timedelta(seconds=1) <= expires <= MAX_LINK_LIFE:
            raise InvalidInput(f"a link lives from 1 second to {MAX_LINK_LIFE.days} days, not {expires}")
        await self.stat(key)
        return self._link_signer.presigned_get_object(self._at.bucket, self._name(key), expires)

    async def check(self) -> None:
        await asyncio.to_thread(self._find_bucket, self._prober)

    async def _put_in_parts(self, key: str, file: BinaryIO) -> ArtifactRef:
        # Read twice, because S3 takes the digest when an upload begins and not when it ends.
        file.seek(0)
        size, sha256 = await asyncio.to_thread(digest_rest, file.read)
        if size > MAX_FILE_SIZE:
            raise LimitExceeded(f"{key} would have {size} bytes; the limit of one object is {MAX_FILE_SIZE}")
        file.seek(0)
        ref = ArtifactRef(key, size, sha256)
        with suppress(NotFound):
            check_same(await self.stat(key), ref)
            return ref
        try:
            await self._upload(ref, file)
        except AlreadyExists:
            check_same(await self._taken(key), ref)
        return ref

    async def _upload(self, ref: ArtifactRef, file: BinaryIO) -> None:
        target = (self._at.bucket, self._name(ref.key))
        digest = hashlib.sha256()

        def next_part() -> bytes:
            part = file.read(PART_SIZE)
            digest.update(part)
            return part

        upload_id = await self._call(ref.key, self._client.begin_upload, *target, ref.sha256)
        try:
            etags: list[str] = []
            while part := await asyncio.to_thread(next_part):
                number = len(etags) + 1
                etags.append(await self._call(ref.key, self._client.upload_part, *target, upload_id, number, part))
            if digest.hexdigest() != ref.sha256:
                raise FailedPrecondition(f"the source of {ref.key} changed while it was uploaded; nothing was stored")
            await self._call(ref.key, self._client.complete_upload, *target, upload_id, etags)
        except BaseException:
            # Cancellation too: parts that nobody completes take room. When aborting fails, the first error tells more.
            with suppress(FraguaError):
                await asyncio.shield(self._call(ref.key, self._client.abort_upload, *target, upload_id))
            raise

    async def _taken(self, key: str) -> ArtifactRef:
        try:
            return await self.stat(key)
        except NotFound as error:
            raise Unavailable(f"another write of {key} was going on, and came to nothing; try again") from error

    async def _call(self, key: str, request: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Make a blocking request in a thread, once the bucket is known to be there."""

        def make() -> T:
            if not self._bucket_found:
                self._find_bucket(self._client)
            with self._errors(key):
                return request(*args, **kwargs)

        return await asyncio.to_thread(make)

    def _find_bucket(self, client: Minio) -> None:
        bucket = self._at.bucket
        with s3_errors(self._at.endpoint, f"bucket {bucket}"):
            found = client.bucket_exists(bucket)
        if not found:
            with s3_errors(self._at.endpoint, f"the creation of the missing bucket {bucket}"):
                self._create_bucket(client)
        self._bucket_found = True

    def _create_bucket(self, client: Minio) -> None:
        try:
            client.make_bucket(self._at.bucket, self._at.region)
        except S3Error as error:
            # Another process may have been faster.
            if error.code != "BucketAlreadyOwnedByYou":
                raise

    def _open(self, key: str, offset: int = 0) -> BaseHTTPResponse:
        return self._client.get_object(self._at.bucket, self._name(key), offset)

    def _read_at_most(self, key: str, limit: int) -> tuple[bytes, str | None]:
        """The content of an object, and its digest if its writer left one."""
        with closing(self._open(key)) as response:
            content = response.read(limit + 1, decode_content=False)
        if len(content) > limit:
            raise LimitExceeded(f"{key} has more than the {limit} bytes that are read at once; stream it instead")
        return content, response.headers.get(SHA256_HEADER)

    def _stat(self, key: str) -> ArtifactRef:
        found = self._client.stat_object(self._at.bucket, self._name(key))
        if found.metadata and (sha256 := found.metadata.get(SHA256_HEADER)):
            return ArtifactRef(key, found.size or 0, sha256)
        with closing(self._open(key)) as response:
            size, sha256 = digest_rest(partial(response.read, decode_content=False))
        return ArtifactRef(key, size, sha256)

    def _name(self, key: str) -> str:
        return "/".join(part for part in (self._at.prefix, key) if part)

    def _errors(self, key: str) -> AbstractContextManager[None]:
        return s3_errors(self._at.endpoint, f"{self._at.bucket}/{self._name(key)}")
