"""The loop of a worker process: pull a job, claim it, attempt it, settle with the queue."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time

import structlog

from fragua_platform.errors import FraguaError, NotFound, Unavailable
from fragua_platform.events.bus import Delivery, DeliveryPolicy, EventBus, WorkQueue
from fragua_platform.jobs.attempt import Attempt, Workshop
from fragua_platform.telemetry import JOB_SECONDS, JOBS_FINISHED, span_from_traceparent

log = structlog.get_logger()

_PULL_SECONDS = 5.0
_QUEUE_AWAY_SECONDS = 1.0


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
        queue = await self._bus.work_queue(self._shop.jobs.service, self._policy)
        log.info("worker_started", worker=self.name)
        while not self._draining.is_set():
            try:
                delivery = await self._next(queue)
                if delivery is not None:
                    await self._handle(delivery)
            except Unavailable as error:
                log.warning("worker_waits", reason=error.reason, message=error.message)
                await asyncio.sleep(_QUEUE_AWAY_SECONDS)
        log.info("worker_stopped", worker=self.name)

    async def _next(self, queue: WorkQueue) -> Delivery | None:
        pull = asyncio.create_task(queue.pull(_PULL_SECONDS))
        drained = asyncio.create_task(self._draining.wait())
        await asyncio.wait({pull, drained}, return_when=asyncio.FIRST_COMPLETED)
        drained.cancel()
        if not pull.done():
            pull.cancel()
            return None
        return await pull

    async def _handle(self, delivery: Delivery) -> None:
        jobs, work = self._shop.jobs, delivery.work
        try:
            claim = await self._shop.database.run(
                lambda connection: jobs.claim(connection, work.job_id, self.name, self._shop.lease)
            )
        except NotFound:
            log.warning("unknown_job_dropped", job_id=work.job_id)
            await delivery.ack()
            return
        except FraguaError:
            await delivery.retry(_QUEUE_AWAY_SECONDS)
            raise
        if not claim.won:
            await (delivery.retry(claim.retry_after) if claim.retry_after else delivery.ack())
            return
        with (
            span_from_traceparent(f"{jobs.service} job", claim.job.traceparent),
            structlog.contextvars.bound_contextvars(job=claim.job.name, attempt=claim.job.attempt),
        ):
            self._attempt = Attempt(self._shop, claim.job, delivery.in_progress)
            if self._draining.is_set():
                self._attempt.drain()
            await self._settle(self._attempt, delivery)

    async def _settle(self, attempt: Attempt, delivery: Delivery) -> None:
        log.info("attempt_started")
        began = time.monotonic()
        try:
            job, retry_after = await attempt.run()
        finally:
            self._attempt = None
        seconds = time.monotonic() - began
        log.info("attempt_ended", state=job.state.value, seconds=round(seconds, 3))
        JOB_SECONDS.labels(self._shop.jobs.service, job.state.value).observe(seconds)
        if job.state.terminal:
            JOBS_FINISHED.labels(self._shop.jobs.service, job.state.value).inc()
        if retry_after and not job.state.terminal:
            await delivery.retry(retry_after)
        elif job.state.terminal or job.state.value == "PAUSED":
            await delivery.ack()
        # Else the lease was lost: the delivery belongs to whoever holds it now.
