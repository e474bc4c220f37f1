"""Handing out the files of finished evaluations."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fragua_evaluator.work import bundle_of
from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.errors import FailedPrecondition, InvalidInput, Violation
from fragua_platform.jobs.desk import JobDesk


class Downloads:
    def __init__(self, desk: JobDesk, store: ArtifactStore) -> None:
        self._desk = desk
        self._store = store

    async def read(self, evaluation: str, file: str, offset: int) -> AsyncIterator[bytes]:
        job = await self._desk.get(evaluation)
        bundle = bundle_of(job)
        if bundle is None:
            raise FailedPrecondition(f"{evaluation} is {job.state}; its reports are there once it is SUCCEEDED")
        found = bundle.manifest.file(file)
        if offset > found.size:
            problem = Violation("offset", f"{file} has {found.size} bytes")
            raise InvalidInput("the offset lies behind the end of the file", violations=[problem])
        async for chunk in self._store.read(found.ref, offset=offset):
            yield chunk
