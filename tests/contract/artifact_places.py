"""The two kinds of place where artifacts lie, with a back door to each: what the contract suites run over."""

from __future__ import annotations

import io
import random
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from minio.helpers import DictType

from fragua_platform.artifacts.open import open_artifact_store
from fragua_platform.artifacts.store import ArtifactRef, ArtifactStore
from tests.servers import S3Server

KINDS = ("local", "s3")


class ArtifactPlace(ABC):
    url: str
    access_key = ""
    secret_key = ""

    def open(self) -> ArtifactStore:
        """A store as one more process would open it."""
        return open_artifact_store(self.url, access_key=self.access_key, secret_key=self.secret_key)

    @abstractmethod
    def overwrite(self, key: str, content: bytes) -> None:
        """Change an object behind the store's back."""

    @abstractmethod
    def unfinished(self) -> list[str]:
        """Writes that have begun and not ended."""

    @abstractmethod
    def away(self) -> AbstractContextManager[None]:
        """While the context lasts the place cannot be reached."""


class LocalPlace(ArtifactPlace):
    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = f"file://{root}"

    def overwrite(self, key: str, content: bytes) -> None:
        (self.root / key).write_bytes(content)

    def unfinished(self) -> list[str]:
        return [path.name for path in (self.root / ".incoming").iterdir()]

    @contextmanager
    def away(self) -> Iterator[None]:
        hidden = self.root.rename(self.root.with_name("unmounted"))
        yield
        hidden.rename(self.root)


class S3Place(ArtifactPlace):
    def __init__(self, server: S3Server) -> None:
        self.server = server
        self.bucket = server.create_bucket()
        self.access_key = server.access_key
        self.secret_key = server.secret_key
        self.url = f"{server.url_of(self.bucket)}&prefix=compañía/fragua"

    def overwrite(self, key: str, content: bytes) -> None:
        # As someone would do it who wants it to go unnoticed: what the object says about itself stays.
        name = f"compañía/fragua/{key}"
        said = self.server.client().stat_object(self.bucket, name).metadata or {}
        kept: DictType = {field: value for field, value in said.items() if field.lower().startswith("x-amz-meta-")}
        self.server.client().put_object(self.bucket, name, io.BytesIO(content), len(content), metadata=kept)

    def unfinished(self) -> list[str]:
        # The list of uploads has no public method in minio.
        return [upload.object_name for upload in self.server.client()._list_multipart_uploads(self.bucket).uploads]

    @contextmanager
    def away(self) -> Iterator[None]:
        self.server.kill()
        try:
            yield
        finally:
            self.server.start()


def artifact_place(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactPlace:
    if request.param == "local":
        return LocalPlace(tmp_path / "almacén")
    return S3Place(request.getfixturevalue("s3_server"))


async def content_of(store: ArtifactStore, ref: ArtifactRef, offset: int = 0) -> bytes:
    return b"".join([chunk async for chunk in store.read(ref, offset=offset)])


async def keys_of(store: ArtifactStore, prefix: str = "") -> list[str]:
    return [key async for key in store.list(prefix)]


def a_file(path: Path, size: int, seed: int = 0) -> Path:
    path.write_bytes(random.Random(seed).randbytes(size))
    return path
