"""Objects that others put into the artifact store for us to import."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from fragua_dataset.domain.version_order import SourceObject
from fragua_platform.artifacts.keys import check_key
from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.errors import InvalidInput, LimitExceeded, NotFound, Violation


@dataclass(frozen=True)
class StorePlace:
    """What objects of the store are called outside of it."""

    bucket: str = ""
    """Empty where it is a folder."""
    prefix: str = ""
    """The folder of the bucket that is ours."""

    @classmethod
    def of(cls, artifacts_url: str) -> StorePlace:
        parts = urlsplit(artifacts_url)
        if parts.scheme != "s3":
            return cls()
        return cls(parts.netloc, parse_qs(parts.query).get("prefix", [""])[-1].strip("/"))


class ImportableObjects:
    def __init__(self, store: ArtifactStore, place: StorePlace, folders: tuple[str, ...], limit: int) -> None:
        """Only what lies below `folders` may be imported: the rest of the store belongs to versions and models."""
        self._store = store
        self._place = place
        self._folders = tuple(f"{folder.strip('/')}/" for folder in folders if folder.strip("/"))
        self._limit = limit

    async def find(self, uri: str, sha256: str) -> SourceObject:
        """The object, pinned by its digest. It has to stay there until its version is made."""
        key = self._key(uri)
        try:
            found = await self._store.stat(key)
        except NotFound as missing:
            raise NotFound(f"{uri} does not exist in the artifact store") from missing
        if found.size > self._limit:
            raise LimitExceeded(f"{uri} is larger than the limit of {self._limit} bytes (FRAGUA_MAX_UPLOAD_BYTES)")
        if found.size == 0:
            raise _refused("object_uri", f"{uri} is empty")
        if sha256 and found.sha256 != sha256:
            raise _refused("sha256", f"{uri} has the sha256 {found.sha256}")
        return SourceObject(key=found.key, size=found.size, sha256=found.sha256)

    def _key(self, uri: str) -> str:
        key = self._key_in_bucket(uri) if "://" in uri else uri
        try:
            check_key(key)
        except InvalidInput as invalid:
            raise _refused("object_uri", invalid.message) from invalid
        if not key.startswith(self._folders):
            allowed = ", ".join(self._folders) or "none"
            raise _refused("object_uri", f"{uri} is in no folder to import from (FRAGUA_IMPORT_PREFIXES): {allowed}")
        return key

    def _key_in_bucket(self, uri: str) -> str:
        scheme, _, rest = uri.partition("://")
        bucket, _, key = rest.partition("/")
        if scheme != "s3" or not self._place.bucket:
            wanted = "s3://bucket/key or a key" if self._place.bucket else "a key: the artifact store is a folder"
            raise _refused("object_uri", f"{uri} is not {wanted}")
        ours = f"{self._place.prefix}/" if self._place.prefix else ""
        if bucket != self._place.bucket or not key.startswith(ours):
            raise _refused("object_uri", f"{uri} is elsewhere; copy it below s3://{self._place.bucket}/{ours}")
        return key.removeprefix(ours)


def _refused(field: str, problem: str) -> InvalidInput:
    return InvalidInput(problem, violations=[Violation(field, problem)], reason="OBJECT_REFUSED")
