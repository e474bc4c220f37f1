"""Removes the checkpoints of jobs that have ended, where no worker was left to do it.

A worker forgets a job's checkpoints after its last word. It may be killed right then, and a job that is cancelled while
it is paused ends without any worker.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import structlog

from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.database import Database
from fragua_platform.errors import FraguaError
from fragua_platform.jobs.checkpoints import CHECKPOINTS, forget_checkpoints
from fragua_platform.jobs.store import JobStore

log = structlog.get_logger()

_ROUND_SECONDS = 3600.0
_REST = timedelta(hours=1)
"""After the end of a job: its last worker may still be tidying up itself."""


async def sweep_checkpoints(database: Database, jobs: JobStore, store: ArtifactStore) -> None:
    """Once an hour, for as long as it runs. Several at once do no harm: they remove the same things."""
    while True:
        try:
            await forget_ended(database, jobs, store, datetime.now(UTC) - _REST)
        except FraguaError as error:
            log.warning("checkpoints_left_behind", reason=error.reason, message=error.message)
        await asyncio.sleep(_ROUND_SECONDS)


async def forget_ended(database: Database, jobs: JobStore, store: ArtifactStore, before: datetime) -> None:
    """Only what is surely of no use: an end is final, and ids that this service does not know belong to another one."""
    present = {key.split("/")[1] async for key in store.list(CHECKPOINTS)}
    for job_id in await database.run(lambda connection: jobs.ended_among(connection, present, before)):
        await forget_checkpoints(store, job_id)
        log.info("checkpoints_swept", job_id=job_id)
