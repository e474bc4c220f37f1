"""Checkpoints that nobody will resume from are swept, on every artifact store; all others stay."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.database import Database
from fragua_platform.jobs.job import Job, JobState
from fragua_platform.jobs.sweep import forget_ended
from tests.contract.artifact_places import KINDS, artifact_place
from tests.jobs import delete_rows, new_job, new_store

NOW = datetime.now(UTC)


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    return artifact_place(request, tmp_path).open()


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    database = Database(request.getfixturevalue(f"{request.param}_with_tables"))
    database.transact(delete_rows)
    yield database
    await database.close()


def existing(database: Database, state: JobState, ended: datetime | None = None) -> Job:
    return database.transact(lambda connection: new_store().create(connection, new_job(state=state, ended=ended)))


async def put_checkpoint(store: ArtifactStore, job_id: str) -> set[str]:
    keys = {f"checkpoints/{job_id}/000000000010/{name}" for name in ("weights", "manifest.json")}
    for key in keys:
        await store.put_bytes(key, b"x")
    return keys


async def test_only_jobs_that_ended_long_ago_lose_their_checkpoints(store: ArtifactStore, database: Database) -> None:
    for state in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED):
        await put_checkpoint(store, existing(database, state, ended=NOW - timedelta(hours=2)).id)
    kept = await put_checkpoint(store, existing(database, JobState.SUCCEEDED, ended=NOW).id)
    for state in (JobState.QUEUED, JobState.RUNNING, JobState.PAUSED):
        kept |= await put_checkpoint(store, existing(database, state).id)
    kept |= await put_checkpoint(store, "a-job-of-another-service")
    await store.put_bytes("models/lora/tutor/1/weights", b"x")

    for _again in range(2):
        await forget_ended(database, new_store(), store, before=NOW - timedelta(hours=1))

    assert {key async for key in store.list("checkpoints")} == kept
    assert [key async for key in store.list("models")] == ["models/lora/tutor/1/weights"]


async def test_where_nothing_is_left_nothing_is_swept(store: ArtifactStore, database: Database) -> None:
    existing(database, JobState.SUCCEEDED, ended=NOW - timedelta(days=30))

    await forget_ended(database, new_store(), store, before=NOW)
