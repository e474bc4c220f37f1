"""Handing out files of versions and conversions as they are."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fragua_dataset.application.conversions import Conversions
from fragua_dataset.application.versions import Versions
from fragua_platform.artifacts.manifest import Manifest, ManifestFile
from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.errors import InvalidInput, Violation


class Downloads:
    def __init__(self, versions: Versions, conversions: Conversions, store: ArtifactStore) -> None:
        self._versions = versions
        self._conversions = conversions
        self._store = store

    async def find(self, name: str, path: str, offset: int) -> ManifestFile:
        """A file of the version or conversion `name` that has bytes up to `offset`; of an INVALID one its report."""
        file = (await self._manifest(name)).file(path)
        if offset > file.size:
            problem = Violation("offset", f"{path} has {file.size} bytes")
            raise InvalidInput("the offset lies behind the end of the file", violations=[problem])
        return file

    def read(self, file: ManifestFile, offset: int) -> AsyncIterator[bytes]:
        """Verified when it is read from its begin; else the reader checks the digest of what it has put together."""
        return self._store.read(file.ref, offset=offset)

    async def _manifest(self, name: str) -> Manifest:
        if "/conversions/" in name:
            return (await self._conversions.bundle(name)).manifest
        return await self._versions.files(name)
