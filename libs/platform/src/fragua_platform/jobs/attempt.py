"""One attempt at a job, from claimed to settled, while its lease is kept alive.

    fetch inputs -> run the engine -> publish outputs -> settle the row

Whatever ends the attempt early is a wish (`Stop`) or one of the error families; `run` maps each to the transition that
the job makes.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from pathlib import Path
from typing import Any, TypeVar

import structlog
from sqlalchemy.engine import Connection

from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.database import Database
from fragua_platform.errors import FraguaError, InternalError, Superseded, Unavailable
from fragua_platform.jobs.checkpoints import Checkpoints
from fragua_platform.jobs.child import EngineProcess, Outcome
from fragua_platform.jobs.engine import JobDirectory
from fragua_platform.jobs.job import Job, JobFailure, JobState
from fragua_platform.jobs.kind import JobKind, LogKeeper
from fragua_platform.jobs.patience import patiently
from fragua_platform.jobs.progress import ProgressBook
from fragua_platform.jobs.records import CheckpointRecord, ProgressRecord
from fragua_platform.jobs.store import JobStore

log = structlog.get_logger()
T = TypeVar("T")

_FIRST_RETRY = timedelta(seconds=2)
"""How long a job rests after its first failure; each further one doubles it."""
_LONGEST_RETRY = timedelta(seconds=60)
_CONTROL_SECONDS = 1.0
"""How often a running job tells its progress and looks whether it was asked to stop: half of what is promised."""
_LAST_WORD_SECONDS = 3.0


class Stop(IntEnum):
    """Why an attempt ends although nothing failed; the greater one wins."""

    GIVE_BACK = 1
    """A pause, or the worker has to go: let the engine save its state first."""
    CANCEL = 2
    """Nobody wants the result: end the engine now."""
    LOST = 3
    """The job belongs to another attempt: end the engine and write nothing."""


class Stopped(Exception):
    """The attempt ended before its work did."""


@dataclass(frozen=True)
class Workshop:
    """What every attempt of a worker shares."""

    database: Database
    jobs: JobStore
    artifacts: ArtifactStore
    kinds: Mapping[str, JobKind]
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
        self._kind = workshop.kinds[job.kind]
        self._engine = EngineProcess(self._kind.engine, self._directory.root)
        self._checkpoints = Checkpoints(workshop.artifacts, job.id, self._require_lease, workshop.io_patience)
        self._progress = ProgressBook()
        # Two at once would tell the same news twice.
        self._one_at_a_time = asyncio.Lock()
        self._asked = {why: asyncio.get_running_loop().create_future() for why in Stop}
        self._defect: Exception | None = None

    def drain(self) -> None:
        """Ask the attempt to save its state and give the job back."""
        self._ask(Stop.GIVE_BACK)

    async def run(self) -> Job:
        """Work until the job is settled, and return it; still RUNNING when the lease was lost."""
        control = asyncio.create_task(self._keep_lease())
        try:
            return await self._settle()
        except Superseded:
            log.warning("attempt_superseded", job=self._job.name, attempt=self._job.attempt)
            await self._tidy_up_late()
            return self._job
        finally:
            control.cancel()
            await asyncio.wait({control})
            await self._checkpoints.abandon()
            await asyncio.to_thread(shutil.rmtree, self._directory.root, ignore_errors=True)

    async def _settle(self) -> Job:
        jobs, job = self._shop.jobs, self._job
        try:
            result = await self._work()
            done = await self._surely(lambda connection: jobs.succeed(connection, job, result))
        except Superseded:
            raise
        except Stopped:
            done = await self._after_stop()
        except asyncio.CancelledError:
            # The worker cannot wait any longer. That is no fault of the job, so it is spared the end of its lease.
            with suppress(FraguaError, TimeoutError):
                async with asyncio.timeout(_LAST_WORD_SECONDS):
                    await self._write(lambda connection: jobs.give_back(connection, job))
            raise
        except Unavailable as error:
            failure, delay = JobFailure.of(error), min(_FIRST_RETRY * 2**job.failures, _LONGEST_RETRY)
            log.warning("attempt_failed", job=job.name, reason=error.reason, message=error.message)
            return await self._write(lambda connection: jobs.retry(connection, job, failure, delay))
        except FraguaError as error:
            # What the engine said right before is what explains the failure.
            await self._tell_everything()
            done = await self._fail(JobFailure.of(error))
        except Exception:  # a defect ends this job, and must not end the worker
            log.exception("attempt_failed", job=job.name, attempt=job.attempt)
            done = await self._fail(JobFailure.of(InternalError("a defect of the service; its log tells more")))
        if done.state.terminal:
            await self._forget_checkpoints()
        return done

    async def _after_stop(self) -> Job:
        if self._asked[Stop.LOST].done():
            raise Superseded(f"{self._job.name} belongs to another attempt")
        if self._defect is not None:
            log.error("attempt_failed", job=self._job.name, attempt=self._job.attempt, exc_info=self._defect)
            return await self._fail(JobFailure.of(InternalError("a defect of the service; its log tells more")))
        return await self._surely(lambda connection: self._shop.jobs.give_back(connection, self._job))

    async def _fail(self, failure: JobFailure) -> Job:
        result = await self._salvage()
        return await self._surely(lambda connection: self._shop.jobs.fail(connection, self._job, failure, result))

    async def _salvage(self) -> Mapping[str, Any]:
        try:
            return await self._unless(Stop.LOST, self._patiently(self._kind.salvage, self._job, self._directory))
        except (FraguaError, Stopped):
            log.warning("nothing_salvaged", job=self._job.name, exc_info=True)
        except Exception:  # a defect here must not hide why the job failed
            log.exception("nothing_salvaged", job=self._job.name)
        return {}

    async def _tidy_up_late(self) -> None:
        """Where the job has ended meanwhile, nobody comes after us to remove what our last upload left."""
        await self._checkpoints.abandon()
        try:
            job = await self._write(lambda connection: self._shop.jobs.get(connection, self._job.name))
        except Unavailable:
            return
        if job.state.terminal:
            await self._forget_checkpoints()

    async def _forget_checkpoints(self) -> None:
        try:
            await self._checkpoints.forget()
        except FraguaError as error:
            log.warning("checkpoints_left_behind", job=self._job.name, reason=error.reason)

    # --- the story

    async def _work(self) -> Mapping[str, Any]:
        kind, job = self._kind, self._job
        published = await self._unless(Stop.GIVE_BACK, self._patiently(kind.find_published, job))
        if published is not None:
            return published
        await self._unless(Stop.GIVE_BACK, self._prepare())
        await self._run_engine()
        self._progress.begin("publishing")
        await self._tell_everything()
        # From here on the outputs may become visible, so a wish to stop comes too late.
        return await self._unless(Stop.LOST, self._patiently(kind.publish, job, self._directory))

    async def _prepare(self) -> None:
        self._progress.begin("fetching inputs")
        await asyncio.to_thread(self._directory.inputs.mkdir, parents=True, exist_ok=True)
        await self._patiently(self._kind.prepare, self._job, self._directory)
        await self._patiently(self._checkpoints.fetch_latest, self._directory.inputs / "checkpoint")

    async def _run_engine(self) -> None:
        engine = asyncio.create_task(self._engine.run(self._on_record))
        try:
            await asyncio.wait({engine, self._asked[Stop.GIVE_BACK]}, return_when=asyncio.FIRST_COMPLETED)
            if not engine.done() and not self._asked[Stop.CANCEL].done():
                self._engine.interrupt()
                # A step can take minutes, so nothing but the worker's own end limits this wait.
                await asyncio.wait({engine, self._asked[Stop.CANCEL]}, return_when=asyncio.FIRST_COMPLETED)
            if not engine.done():
                raise Stopped
            outcome = await engine
        except Unavailable:
            # The next attempt goes on from what this one has saved.
            await self._unless(Stop.CANCEL, self._checkpoints.flush())
            raise
        finally:
            engine.cancel()
            await asyncio.wait({engine})
        await self._unless(Stop.CANCEL, self._checkpoints.flush())
        if outcome is Outcome.INTERRUPTED:
            raise Stopped if self._asked[Stop.GIVE_BACK].done() else Unavailable("the engine was interrupted")

    def _on_record(self, record: ProgressRecord | CheckpointRecord) -> None:
        match record:
            case CheckpointRecord():
                self._checkpoints.upload(record.step, self._directory.root / record.directory)
            case ProgressRecord():
                self._progress.enter(record)

    # --- the lease

    async def _keep_lease(self) -> None:
        """Once a second: tell the row how far the work is, hear what was asked, and in time extend the lease."""
        beat = min(self._shop.lease.total_seconds() / 3, _CONTROL_SECONDS * 10)
        loop = asyncio.get_running_loop()
        next_beat = loop.time()
        while True:
            try:
                due = loop.time() >= next_beat
                self._heed(await self._converse(extend=due))
                if due:
                    # After the row: the row decides who holds the job, the delivery only when it is offered again.
                    await self._extend_delivery()
                    next_beat = loop.time() + beat
            except Superseded:
                self._ask(Stop.LOST)
                return
            except FraguaError as error:
                # Nobody can take the job while the database is away, so the work goes on.
                log.warning("lease_not_extended", job=self._job.name, reason=error.reason)
            except Exception as defect:
                self._defect = defect
                self._ask(Stop.CANCEL)
                return
            await asyncio.sleep(min(_CONTROL_SECONDS, beat))

    async def _converse(self, *, extend: bool) -> Job:
        """One transaction with the row; returns the job as it is now."""
        async with self._one_at_a_time:
            return await self._exchange_news(extend=extend)

    async def _exchange_news(self, *, extend: bool) -> Job:
        jobs, job, news = self._shop.jobs, self._job, self._progress.news()

        def exchange(connection: Connection) -> Job:
            now = jobs.extend(connection, job, self._shop.lease) if extend else None
            if news:
                now = jobs.record_progress(connection, job, news.progress, tell=news.event)
                for measurement in news.measurements:
                    self._kind.record_metrics(connection, job, measurement.step, measurement.values)
                if news.lines and isinstance(self._kind, LogKeeper):
                    self._kind.record_log(connection, job, news.lines)
            return now or jobs.get(connection, job.name)

        found = await self._write(exchange)
        if news:
            self._progress.told(news)
        return found

    async def _tell_everything(self) -> None:
        """Before the outputs may appear: nothing measured is lost, and a worker that lost the job notices it here."""
        await self._patiently(self._converse, extend=True)
        while self._progress.news():
            await self._patiently(self._converse, extend=False)

    async def _require_lease(self) -> None:
        await self._write(lambda connection: self._shop.jobs.require_lease(connection, self._job))

    def _heed(self, job: Job) -> None:
        if job.state is not JobState.RUNNING or job.attempt != self._job.attempt:
            self._ask(Stop.LOST)
        elif job.cancel_requested:
            self._ask(Stop.CANCEL)
        elif job.pause_requested:
            self._ask(Stop.GIVE_BACK)

    def _ask(self, why: Stop) -> None:
        for lesser in Stop:
            if lesser <= why and not self._asked[lesser].done():
                self._asked[lesser].set_result(None)

    async def _unless(self, why: Stop, work: Awaitable[T]) -> T:
        """Do `work`, or raise `Stopped` as soon as `why` or more is asked."""
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait({task, self._asked[why]}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise Stopped
            return await task
        finally:
            task.cancel()
            await asyncio.wait({task})

    # --- dependencies that come and go

    async def _patiently(self, work: Callable[..., Awaitable[T]], *arguments: Any, **options: Any) -> T:
        return await patiently(lambda: work(*arguments, **options), self._shop.io_patience)

    async def _surely(self, work: Callable[[Connection], T]) -> T:
        return await self._patiently(self._write, work)

    async def _write(self, work: Callable[[Connection], T]) -> T:
        return await self._shop.database.run(work)
