"""Jobs for tests: a service of its own named `counting`, its tables, and looks at what it wrote."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fragua_platform.database import Database
from fragua_platform.events.bus import QueuedWork
from fragua_platform.events.cloudevents import CloudEvent
from fragua_platform.jobs.job import Job
from fragua_platform.jobs.store import JobStore
from fragua_platform.jobs.turns import BranchLimits
from fragua_platform.tables import define_platform_tables

SERVICE = "counting"
metadata = sa.MetaData()
define_platform_tables(metadata)
measurements = sa.Table(
    "measurements",
    metadata,
    sa.Column("job", sa.String(256), primary_key=True),
    sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("step", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("value", sa.Float, nullable=False),
)

_numbers = itertools.count(1)


def new_job(**changes: Any) -> Job:
    """QUEUED, and unlike any other one."""
    number, now = next(_numbers), datetime.now(UTC)
    job = Job(
        id=f"job-{number:05d}",
        kind="count",
        branch="antropologia",
        name=f"branches/antropologia/counts/job-{number:05d}",
        spec={"to": 3, "lema": "año nuevo"},
        request_id=f"request-{number}",
        request_digest="0" * 64,
        max_attempts=3,
        created=now,
        updated=now,
    )
    return replace(job, **changes)


def no_further_events(_connection: Connection, _job: Job) -> Sequence[CloudEvent]:
    return []


def new_store(limits: BranchLimits | None = None) -> JobStore:
    return JobStore(SERVICE, metadata, on_change=no_further_events, limits=limits)


def create_tables(database: Database) -> None:
    metadata.create_all(database.engine)


def delete_rows(connection: Connection) -> None:
    for table in metadata.sorted_tables:
        connection.execute(table.delete())


def events_of(connection: Connection, job: Job) -> list[str]:
    """Names of the events that the outbox holds about a job, in order."""
    outbox = metadata.tables["outbox"]
    rows = connection.execute(outbox.select().where(outbox.c.kind == "event").order_by(outbox.c.position))
    return [row.payload["headers"]["ce-subject"].split(".")[-1] for row in rows if job.name in row.payload["body"]]


def work_of(connection: Connection, job: Job) -> list[QueuedWork]:
    """Messages that the outbox holds to start a job, in order."""
    return work_of_service(connection, metadata, job)


def work_of_service(connection: Connection, tables: sa.MetaData, job: Job) -> list[QueuedWork]:
    outbox = tables.tables["outbox"]
    rows = connection.execute(outbox.select().where(outbox.c.kind == "work").order_by(outbox.c.position))
    found = [QueuedWork(message_id=row.message_id, **row.payload) for row in rows]
    return [work for work in found if work.job_id == job.id]
