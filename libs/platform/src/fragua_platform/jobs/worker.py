"""The loop of a worker process: pull a job, claim it, attempt it, settle with the queue."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from contextlib import suppress
from datetime import UTC, datetime

import structlog

from fragua_platform.errors import NotFound, Unavailable
from fragua_platform.events.bus import Delivery, DeliveryPolicy, EventBus, WorkQueue
from fragua_platform.jobs.attempt import Attempt, Workshop
from fragua_platform.jobs.job import Job, JobState
from fragua_platform.jobs.store import Claim
from fragua_platform.telemetry import JOB_SECONDS, JOBS_FINISHED, span_from_traceparent

log = structlog.get_logger()

_PULL_SECONDS = 5.0
_AWAY_SECONDS = 1.0


class Worker:
    """Works on one job at a time until it is drained; start several for more."""

    def __init__(self, workshop: Workshop, bus: EventBus, policy: DeliveryPolicy) -> None:
        self._shop = workshop
        self._bus = bus
        self._policy = policy
        self._draining = asyncio.Event()
        self._attempt: Attempt | None = None
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"

    def drain(self) -> None:
        """Take no new job; the one in hand saves its state and goes back to the queue."""
        self._draining.set()
        if self._attempt is not None:
            self._attempt.drain()

    async def run(self) -> None:
        """Until drained. What does not answer is waited for; anything else that goes wrong here is a defect."""
        log.info("worker_started", worker=self.name)
        queue: WorkQueue | None = None
        while not self._draining.is_set():
            try:
                queue = queue or await self._bus.work_queue(self._shop.jobs.service, self._policy)
                delivery = await self._next(queue)
                if delivery is not None:
                    await self._handle(delivery)
            except Unavailable as error:
                log.warning("worker_waits", reason=error.reason, message=error.message)
                await self._pause()
        log.info("worker_stopped", worker=self.name)

    async def _next(self, queue: WorkQueue) -> Delivery | None:
        pull = asyncio.create_task(queue.pull(_PULL_SECONDS))
        drained = asyncio.create_task(self._draining.wait())
        try:
            await asyncio.wait({pull, drained}, return_when=asyncio.FIRST_COMPLETED)
            # A delivery that came in the moment of the drain is handled: it goes back at once.
            return pull.result() if pull.done() else None
        finally:
            for task in (pull, drained):
                task.cancel()
            await asyncio.wait({pull, drained})

    async def _handle(self, delivery: Delivery) -> None:
        try:
            claim = await self._claim(delivery)
        except NotFound:
            log.warning("unknown_job_dropped", job_id=delivery.work.job_id)
            await delivery.ack()
            return
        if claim is None:
            await delivery.retry(0)
            return
        if claim.ended:
            JOBS_FINISHED.labels(self._shop.jobs.service, claim.job.state.value).inc()
        if claim.won:
            await self._work_on(claim.job, delivery)
        elif claim.retry_after:
            await delivery.retry(claim.retry_after)
        else:
            await delivery.ack()

    async def _claim(self, delivery: Delivery) -> Claim | None:
        """None when this worker is drained before the database answers.

        It holds on to the delivery meanwhile: to give it back again and again would use up its deliveries.
        """
        jobs, work = self._shop.jobs, delivery.work
        while not self._draining.is_set():
            try:
                return await self._shop.database.run(lambda c: jobs.claim(c, work, self.name, self._shop.lease))
            except Unavailable as error:
                log.warning("claim_waits", job_id=work.job_id, reason=error.reason)
            await self._pause()
            with suppress(Unavailable):
                await delivery.in_progress()
        return None

    async def _work_on(self, job: Job, delivery: Delivery) -> None:
        with (
            span_from_traceparent(f"{self._shop.jobs.service} job", job.traceparent),
            structlog.contextvars.bound_contextvars(job=job.name, attempt=job.attempt),
        ):
            self._attempt = Attempt(self._shop, job, delivery.in_progress)
            if self._draining.is_set():
                self._attempt.drain()
            log.info("attempt_started")
            began = time.monotonic()
            try:
                job = await self._attempt.run()
            finally:
                self._attempt = None
            seconds = time.monotonic() - began
            log.info("attempt_ended", state=job.state.value, seconds=round(seconds, 3))
            JOB_SECONDS.labels(self._shop.jobs.service, job.state.value).observe(seconds)
            if job.state.terminal:
                JOBS_FINISHED.labels(self._shop.jobs.service, job.state.value).inc()
            await self._settle(job, delivery)

    async def _settle(self, job: Job, delivery: Delivery) -> None:
        if job.state is JobState.RUNNING:
            return  # The lease was lost: the delivery belongs to whoever holds it now.
        if job.not_before is not None:
            await delivery.retry(max((job.not_before - datetime.now(UTC)).total_seconds(), 0))
        else:
            # It ended, is paused, or was queued anew with a message of its own.
            await delivery.ack()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_AWAY_SECONDS):
                await self._draining.wait()
