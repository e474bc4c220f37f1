"""Keeps jobs from being forgotten: lost leases are offered again, dead letters become failures."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.engine import Connection

from fragua_platform.database import Database
from fragua_platform.errors import FraguaError, NotFound
from fragua_platform.events.bus import DeadLetter, EventBus, Subscription
from fragua_platform.jobs.store import JobStore

log = structlog.get_logger()


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

        def offer(connection: Connection) -> int:
            jobs = self._jobs.unfinished(connection)
            for job in jobs:
                self._jobs.expire_lease(connection, job)
                self._jobs.enqueue_again(connection, self._jobs.get(connection, job.name))
            return len(jobs)

        if count := await self._database.run(offer):
            log.info("unfinished_jobs_offered_again", jobs=count)

    async def watch_dead_letters(self) -> Subscription:
        return await self._bus.on_dead_letter(self._jobs.service, self._bury)

    async def run(self) -> None:
        """Offer jobs again whose worker vanished and whose message is gone too."""
        while True:
            await asyncio.sleep(self._lease.total_seconds())
            try:
                await self._database.run(self._offer_lost)
            except FraguaError as error:
                log.warning("keeper_waits", reason=error.reason, message=error.message)

    def _offer_lost(self, connection: Connection) -> None:
        # Redelivery by the queue takes about one lease; this net is for when it does not come.
        for job in self._jobs.lost(connection, datetime.now(UTC) - 2 * self._lease):
            log.warning("lost_job_offered_again", job=job.name, attempt=job.attempt, owner=job.owner)
            self._jobs.enqueue_again(connection, job)

    async def _bury(self, letter: DeadLetter) -> None:
        cause = f"delivered {letter.deliveries} times without a result: {letter.cause}"
        try:
            job = await self._database.run(
                lambda connection: self._jobs.dead_lettered(connection, letter.work.job_id, cause)
            )
        except NotFound:
            job = None
        log.warning("dead_letter", job_id=letter.work.job_id, deliveries=letter.deliveries, buried=job is not None)
