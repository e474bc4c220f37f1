"""Handing out the files of published exports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from fragua_exporter.work import bundle_of
from fragua_platform.artifacts.manifest import ManifestFile
from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.errors import FailedPrecondition, InvalidInput, Violation
from fragua_platform.jobs.desk import JobDesk


class Downloads:
    def __init__(self, desk: JobDesk, store: ArtifactStore, link_lifetime: timedelta) -> None:
        self._desk = desk
        self._store = store
        self._link_lifetime = link_lifetime

    async def link(self, export: str, file: str) -> tuple[str, datetime]:
        """A link that works without credentials, and when it ends."""
        expires = datetime.now(UTC) + self._link_lifetime
        found = await self._file(export, file)
        return await self._store.presign_download(found.key, self._link_lifetime), expires

    async def read(self, export: str, file: str, offset: int) -> AsyncIterator[bytes]:
        found = await self._file(export, file)
        if offset > found.size:
            problem = Violation("offset", f"{file} has {found.size} bytes")
            raise InvalidInput("the offset lies behind the end of the file", violations=[problem])
        async for chunk in self._store.read(found.ref, offset=offset):
            yield chunk

    async def _file(self, export: str, file: str) -> ManifestFile:
        job = await self._desk.get(export)
        bundle = bundle_of(job)
        if bundle is None:
            raise FailedPrecondition(f"{export} is {job.state}; files can be fetched once it is SUCCEEDED")
        return bundle.manifest.file(file)
