"""Keeps jobs from being forgotten: lost leases are offered again, dead letters become failures."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.engine import Connection

from fragua_platform.database import Database
from fragua_platform.errors import FraguaError, NotFound
from fragua_platform.events.bus import DeadLetter, EventBus, Subscription
from fragua_platform.jobs.job import Job, JobState
from fragua_platform.jobs.store import JobStore
from fragua_platform.telemetry import JOBS_FINISHED, JOBS_WAITING

log = structlog.get_logger()

_ROUND_SECONDS = 10.0
_LONGEST_WAIT = timedelta(hours=1)
"""A message may be lost: a queue can lose what it had accepted last when its machine loses power."""


class JobKeeper:
    """Runs beside the API. Several of them do no harm: every step is a compare-and-set."""

    def __init__(self, database: Database, jobs: JobStore, bus: EventBus, lease: timedelta) -> None:
        self._database = database
        self._jobs = jobs
        self._bus = bus
        self._lease = lease

    async def recover(self) -> None:
        """Where queued work lives in this process only, it died with the former one: offer all of it again.

        One process owns an embedded data directory, so whoever ran a job before is dead.
        """
        if self._bus.remembers_work:
            return

        def offer(connection: Connection) -> list[Job]:
            waiting = self._jobs.requeue_waiting(connection, datetime.now(UTC))
            return [*waiting, *self._jobs.requeue_vanished(connection, expired_before=None)]

        unfinished = await self._database.run(offer)
        self._count_ended(unfinished)
        if offered := sum(job.state is JobState.QUEUED for job in unfinished):
            log.info("unfinished_jobs_offered_again", jobs=offered)

    async def watch_dead_letters(self) -> Subscription:
        return await self._bus.on_dead_letter(self._jobs.service, self._bury)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(min(self._lease.total_seconds(), _ROUND_SECONDS))
            try:
                vanished, waiting = await self._database.run(self._go_round)
            except FraguaError as error:
                log.warning("keeper_waits", reason=error.reason, message=error.message)
                continue
            self._count_ended(vanished)
            JOBS_WAITING.labels(self._jobs.service).set(waiting)

    def _go_round(self, connection: Connection) -> tuple[Sequence[Job], int]:
        """Queue what nobody works on and no message brings back; returns the jobs whose worker vanished, as they are
        now, and how many wait."""
        now = datetime.now(UTC)
        # Redelivery by the queue takes about one lease; this net is for when it does not come.
        vanished = self._jobs.requeue_vanished(connection, now - 2 * self._lease)
        for job in vanished:
            log.warning("vanished_worker", job=job.name, attempt=job.attempt, state=job.state.value)
        for job in self._jobs.requeue_waiting(connection, now - _LONGEST_WAIT):
            log.info("waiting_job_offered_again", job=job.name)
        # Whoever ends a job offers the next one of its branch; this net is for limits that were raised.
        for job in self._jobs.offer_held(connection):
            log.info("held_job_offered", job=job.name)
        return vanished, self._jobs.count_waiting(connection)

    async def _bury(self, letter: DeadLetter) -> None:
        try:
            job = await self._database.run(lambda connection: self._jobs.dead_lettered(connection, letter))
        except NotFound:
            job = None
        log.warning("dead_letter", job_id=letter.work.job_id, deliveries=letter.deliveries, buried=job is not None)
        if job is not None:
            self._count_ended([job])

    def _count_ended(self, jobs: Sequence[Job]) -> None:
        """Of `jobs`, those that came out of a transition of ours in a terminal state."""
        for job in jobs:
            if job.state.terminal:
                JOBS_FINISHED.labels(self._jobs.service, job.state.value).inc()
