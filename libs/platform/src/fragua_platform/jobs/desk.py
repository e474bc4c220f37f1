"""Where clients order jobs and follow them: the use cases that are the same for every kind of job."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime

from pydantic import BaseModel

from fragua_platform.database import Database
from fragua_platform.errors import Unavailable
from fragua_platform.jobs.job import Job
from fragua_platform.jobs.store import JobStore, Raced
from fragua_platform.paging import Page, PageRequest
from fragua_platform.telemetry import JOBS_FINISHED, current_traceparent

_WATCH_SECONDS = 0.25
_CREATE_TRIES = 5


class JobDesk:
    def __init__(self, database: Database, jobs: JobStore, *, kind: str, collection: str, max_attempts: int) -> None:
        self._database = database
        self._jobs = jobs
        self._kind = kind
        self._collection = collection
        self._max_attempts = max_attempts

    async def submit(
        self,
        branch: str,
        order: BaseModel,
        resolve: Callable[[], Awaitable[BaseModel]],
        *,
        request_id: str,
        validate_only: bool = False,
        name: Callable[[], Awaitable[str]] | None = None,
        priority: int = 0,
    ) -> Job:
        """Queue a job for `order`. The same request again gives the job that it made the first time.

        `resolve` checks everything that the order refers to and pins it by digest; it is not asked again for a known
        request, since what it refers to may be gone by then. `name` chooses a free resource name. Of the jobs that wait
        the one of the greatest `priority` starts first.
        """
        for _ in range(_CREATE_TRIES):
            with suppress(Raced):
                return await self._submit(branch, order, resolve, request_id, validate_only, name, priority)
        raise Unavailable(f"too many creations at once in branches/{branch}")

    async def _submit(
        self,
        branch: str,
        order: BaseModel,
        resolve: Callable[[], Awaitable[BaseModel]],
        request_id: str,
        validate_only: bool,
        name: Callable[[], Awaitable[str]] | None,
        priority: int,
    ) -> Job:
        digest = _digest(order, priority)
        known = await self._database.run(lambda c: self._jobs.find_request(c, branch, request_id))
        spec = known.spec if known else (await resolve()).model_dump(mode="json")
        job_id, now = new_id(), datetime.now(UTC)
        job = Job(
            id=job_id,
            kind=self._kind,
            branch=branch,
            name=await name() if name else f"branches/{branch}/{self._collection}/{job_id}",
            spec=spec,
            request_id=request_id,
            request_digest=digest,
            max_attempts=self._max_attempts,
            priority=priority,
            traceparent=current_traceparent(),
            created=now,
            updated=now,
        )
        if validate_only:
            return job
        return await self._database.run(lambda connection: self._jobs.create(connection, job))

    async def get(self, name: str) -> Job:
        return await self._database.run(lambda c: self._jobs.get(c, name))

    async def list(self, branch: str, page: PageRequest, *, below: str = "") -> Page[Job]:
        """Newest first; only names that begin with `below` when it is given."""
        return await self._database.run(lambda c: self._jobs.list(c, branch, page, kind=self._kind, below=below))

    async def cancel(self, name: str) -> Job:
        job = await self._database.run(lambda c: self._jobs.ask_cancel(c, name))
        if job.state.terminal:  # Nobody worked on it, so nobody else will count it.
            JOBS_FINISHED.labels(self._jobs.service, job.state.value).inc()
        return job

    async def pause(self, name: str) -> Job:
        return await self._database.run(lambda c: self._jobs.ask_pause(c, name))

    async def resume(self, name: str) -> Job:
        return await self._database.run(lambda c: self._jobs.resume(c, name))

    async def watch(self, name: str) -> AsyncIterator[Job]:
        """The job now and after every change, until it has ended."""
        seen = -1
        while True:
            job = await self.get(name)
            if job.revision != seen:
                seen = job.revision
                yield job
            if job.state.terminal:
                return
            await asyncio.sleep(_WATCH_SECONDS)


def new_id() -> str:
    """Sorts by time, reads well in a list, and is unique: `20261120t134512-9f86d081`."""
    return f"{datetime.now(UTC):%Y%m%dt%H%M%S}-{secrets.token_hex(4)}"


def _digest(order: BaseModel, priority: int) -> str:
    content = order.model_dump(mode="json")
    if priority:  # Left out where it is 0, as from those who never heard of it: their digests stay what they were.
        content = {"order": content, "priority": priority}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
