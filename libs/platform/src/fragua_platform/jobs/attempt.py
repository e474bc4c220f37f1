"""One attempt at a job, from claimed to settled, while its lease is kept alive.

    fetch inputs -> run the engine -> publish outputs -> settle the row

Whatever ends the attempt early is one of four wishes (`Stop`) or one of the error families; `run` maps each to the
transition that the job makes.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any, Protocol, TypeVar

import structlog
from sqlalchemy.engine import Connection

from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.database import Database
from fragua_platform.errors import FraguaError, InternalError, Superseded, Unavailable
from fragua_platform.jobs.checkpoints import Checkpoints
from fragua_platform.jobs.child import EngineProcess, Outcome, Record
from fragua_platform.jobs.engine import JobDirectory
from fragua_platform.jobs.job import Job, JobFailure, JobState, Progress
from fragua_platform.jobs.progress import ProgressBook
from fragua_platform.jobs.store import JobStore

log = structlog.get_logger()
T = TypeVar("T")

_FIRST_RETRY_SECONDS = 2.0
_LONGEST_RETRY_SECONDS = 60.0
_CONTROL_SECONDS = 1.0
"""How often a running job looks whether it was asked to stop: half of what is promised."""


class JobKind(Protocol):
    """What a service adds to the common life of a job."""

    engine: str
    """Module to run as `python -m <engine> JOB_DIR`."""

    async def prepare(self, job: Job, directory: JobDirectory) -> None:
        """Fetch and verify the inputs, write spec.json. May run again for the same job."""
        ...

    async def publish(self, job: Job, directory: JobDirectory) -> Mapping[str, Any]:
        """Upload the outputs, manifest last, and return the job's result. May run again for the same job."""
        ...

    async def salvage(self, job: Job, directory: JobDirectory) -> Mapping[str, Any]:
        """Keep what a failed engine left that explains the failure; becomes the failed job's result."""
        ...

    async def find_published(self, job: Job) -> Mapping[str, Any] | None:
        """The result of a former attempt that published everything and died before it could say so."""
        ...

    def record_metrics(self, connection: Connection, job: Job, step: int, metrics: Mapping[str, float]) -> None:
        """Keep measured values; in the transaction of the progress."""
        ...


class Stop(Enum):
    """Why an attempt ends although nothing failed."""

    CANCEL = "cancel"
    PAUSE = "pause"
    DRAIN = "drain"
    SUPERSEDED = "superseded"


class Stopped(Exception):
    def __init__(self, why: Stop) -> None:
        super().__init__(why.value)
        self.why = why


@dataclass(frozen=True)
class Workshop:
    """What every attempt of a worker shares."""

    database: Database
    jobs: JobStore
    artifacts: ArtifactStore
    kind: JobKind
    directory: Path
    lease: timedelta
    io_patience: timedelta
    """How long an attempt waits for a dependency that does not answer before it gives the job back."""


class Attempt:
    def __init__(self, workshop: Workshop, job: Job, extend_delivery: Callable[[], Awaitable[None]]) -> None:
        self._shop = workshop
        self._job = job
        self._extend_delivery = extend_delivery
        self._directory = JobDirectory(workshop.directory / f"{job.id}-{job.attempt}")
        self._engine = EngineProcess(workshop.kind.engine, self._directory.root)
        self._checkpoints = Checkpoints(workshop.artifacts, job.id)
        self._progress = ProgressBook()
        self._stop: asyncio.Future[Stop] = asyncio.get_running_loop().create_future()

    def drain(self) -> None:
        """Ask the attempt to save its state and give the job back."""
        self._ask(Stop.DRAIN)

    async def run(self) -> tuple[Job, float]:
        """Work until the job is settled. Returns it, and after how many seconds the queue should offer it again."""
        control = asyncio.create_task(self._keep_lease())
        try:
            return await self._settled(self._work())
        except Superseded:
            log.warning("attempt_superseded", job=self._job.name, attempt=self._job.attempt)
            return self._job, 0.0
        finally:
            control.cancel()
            with suppress(asyncio.CancelledError):
                await control
            await asyncio.to_thread(shutil.rmtree, self._directory.root, ignore_errors=True)

    async def _settled(self, work: Awaitable[Mapping[str, Any]]) -> tuple[Job, float]:
        jobs, job = self._shop.jobs, self._job
        try:
            result = await work
            done = await self._patiently(lambda: self._write(lambda c: jobs.succeed(c, job, result)))
            await self._forget_checkpoints()
            return done, 0.0
        except Stopped as stopped:
            return await self._after_stop(stopped.why)
        except Superseded:
            raise
        except Unavailable as error:
            delay = min(_FIRST_RETRY_SECONDS * 2**job.failures, _LONGEST_RETRY_SECONDS)
            failure = JobFailure.of(error)
            return await self._write(lambda c: jobs.retry(c, job, failure, delay)), delay
        except FraguaError as error:
            failure = JobFailure.of(error)
        except Exception:
            log.exception("attempt_failed", job=job.name, attempt=job.attempt)
            failure = JobFailure.of(InternalError("a defect of the service; its log tells more"))
        result = await self._salvage()
        done = await self._patiently(lambda: self._write(lambda c: jobs.fail(c, job, failure, result)))
        await self._forget_checkpoints()
        return done, 0.0

    async def _salvage(self) -> Mapping[str, Any]:
        try:
            return await self._patiently(lambda: self._shop.kind.salvage(self._job, self._directory))
        except FraguaError as error:
            log.warning("nothing_salvaged", job=self._job.name, reason=error.reason)
            return {}

    async def _after_stop(self, why: Stop) -> tuple[Job, float]:
        jobs, job = self._shop.jobs, self._job
        if why is Stop.CANCEL:
            done = await self._patiently(lambda: self._write(lambda c: jobs.cancel(c, job)))
            await self._forget_checkpoints()
            return done, 0.0
        if why is Stop.SUPERSEDED:
            raise Superseded(job.name)

        def release(connection: Connection) -> Job:
            # A pause may have been taken back while the engine was saving its state.
            if why is Stop.PAUSE and jobs.get(connection, job.name).pause_requested:
                return jobs.pause(connection, job)
            return jobs.give_back(connection, job)

        released = await self._patiently(lambda: self._write(release))
        return released, 0.0 if released.state is JobState.PAUSED else 0.1

    # --- the story

    async def _work(self) -> Mapping[str, Any]:
        kind, job = self._shop.kind, self._job
        if published := await self._patiently(lambda: kind.find_published(job)):
            return published
        await self._until_stopped(self._prepare())
        await self._run_engine()
        await self._tell(Progress(phase="publishing"))
        # From here on the outputs may become visible, so a wish to stop comes too late.
        return await self._patiently(lambda: kind.publish(job, self._directory))

    async def _prepare(self) -> None:
        await self._tell(Progress(phase="fetching inputs"))
        await asyncio.to_thread(self._directory.inputs.mkdir, parents=True, exist_ok=True)
        await self._patiently(lambda: self._shop.kind.prepare(self._job, self._directory))
        await self._patiently(lambda: self._checkpoints.fetch_latest(self._directory.inputs / "checkpoint"))

    async def _run_engine(self) -> None:
        engine = asyncio.create_task(self._engine.run(self._on_record))
        try:
            await asyncio.wait({engine, self._stop}, return_when=asyncio.FIRST_COMPLETED)
            if not engine.done():
                if self._stop.result() in (Stop.CANCEL, Stop.SUPERSEDED):
                    raise Stopped(self._stop.result())
                # A step can take minutes, so only the caller's own end limits this wait.
                self._engine.interrupt()
            if await engine is Outcome.INTERRUPTED:
                await self._checkpoints.flush()
                raise Stopped(self._stop.result()) if self._stop.done() else Unavailable("the engine was interrupted")
            await self._checkpoints.flush()
        finally:
            engine.cancel()
            with suppress(asyncio.CancelledError, FraguaError):
                await engine

    async def _on_record(self, record: Record) -> None:
        if record["record"] == "checkpoint":
            self._checkpoints.upload(int(record["step"]), self._directory.root / record["directory"])
            return
        progress = self._progress.enter(record)
        metrics = {name: float(value) for name, value in record.get("metrics", {}).items()}
        if metrics or self._progress.due():
            await self._tell(progress, metrics)

    async def _tell(self, progress: Progress, metrics: Mapping[str, float] | None = None) -> None:
        """Progress is a courtesy: a database that is away for a moment must not end the work."""
        tell = self._progress.event_due()

        def write(connection: Connection) -> None:
            self._shop.jobs.record_progress(connection, self._job, progress, tell=tell)
            if metrics:
                self._shop.kind.record_metrics(connection, self._job, progress.step, metrics)

        try:
            await self._write(write)
        except Superseded:
            self._ask(Stop.SUPERSEDED)
        except Unavailable as error:
            log.warning("progress_not_recorded", job=self._job.name, reason=error.reason)

    # --- the lease

    async def _keep_lease(self) -> None:
        """Heartbeat for the row and the delivery, and an ear for wishes."""
        beat = self._shop.lease.total_seconds() / 3
        loop = asyncio.get_running_loop()
        next_beat = loop.time()
        while True:
            try:
                if loop.time() >= next_beat:
                    next_beat = loop.time() + beat
                    await self._extend_delivery()
                    job = await self._write(lambda c: self._shop.jobs.extend(c, self._job, self._shop.lease))
                else:
                    job = await self._write(lambda c: self._shop.jobs.get(c, self._job.name))
                self._heed(job)
            except Superseded:
                self._ask(Stop.SUPERSEDED)
                return
            except FraguaError as error:
                # Nobody can take the job while the database is away, so the work goes on.
                log.warning("lease_not_extended", job=self._job.name, reason=error.reason)
            await asyncio.sleep(min(_CONTROL_SECONDS, beat))

    def _heed(self, job: Job) -> None:
        if job.state is not JobState.RUNNING or job.attempt != self._job.attempt:
            self._ask(Stop.SUPERSEDED)
        elif job.cancel_requested:
            self._ask(Stop.CANCEL)
        elif job.pause_requested:
            self._ask(Stop.PAUSE)

    def _ask(self, why: Stop) -> None:
        if not self._stop.done():
            self._stop.set_result(why)

    async def _until_stopped(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait({task, self._stop}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise Stopped(self._stop.result())
            await task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, FraguaError):
                await task

    # --- dependencies that come and go

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """Try again while a dependency does not answer: a restarted server must not cost hours of work."""
        deadline = asyncio.get_running_loop().time() + self._shop.io_patience.total_seconds()
        delay = 0.2
        while True:
            try:
                return await work()
            except Unavailable as error:
                if asyncio.get_running_loop().time() + delay > deadline:
                    raise
                log.warning("dependency_away", job=self._job.name, reason=error.reason, message=error.message)
            await asyncio.sleep(delay)
            delay = min(delay * 2, 5.0)

    async def _write(self, work: Callable[[Connection], T]) -> T:
        return await self._shop.database.run(work)

    async def _forget_checkpoints(self) -> None:
        try:
            await self._checkpoints.forget()
        except FraguaError as error:
            log.warning("checkpoints_left_behind", job=self._job.name, reason=error.reason)
