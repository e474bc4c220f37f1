"""Places where the counting service can live: embedded in this process, or on real servers."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from fragua_platform.database import Database, upgrade_schema
from fragua_platform.events.bus import EventBus
from fragua_platform.events.memory import MemoryEventBus
from fragua_platform.events.open import open_event_bus
from fragua_platform.jobs.job import Job, JobState
from fragua_platform.jobs.worker import Worker
from fragua_platform.runtime import Resources, Service, open_resources, serving, working
from tests.counting.service import DEFINITION, CountingSettings
from tests.jobs import events_of, measurements, new_job
from tests.servers.process import REPOSITORY, tell_guard

LEASE = 2.0


@dataclass(frozen=True)
class Site:
    """URLs and keys; what lives at them outlasts the processes of the service."""

    settings: CountingSettings

    @property
    def real(self) -> bool:
        return self.settings.events_url != "memory://"

    def migrate(self) -> None:
        database = Database(self.settings.database_url)
        upgrade_schema(database, DEFINITION.migrations)
        database.engine.dispose()

    @asynccontextmanager
    async def opened(self, *, workers: int = 1) -> AsyncIterator[Counting]:
        """The service in this process."""
        async with AsyncExitStack() as stack:
            bus: EventBus = MemoryEventBus() if not self.real else await open_event_bus(self.settings.events_url)
            stack.push_async_callback(bus.close)
            resources = await stack.enter_async_context(open_resources(DEFINITION, self.settings, bus=bus))
            service = DEFINITION.build(self.settings, resources)
            await stack.enter_async_context(serving(DEFINITION, self.settings, service, resources))
            counting = Counting(self, service, resources)
            for _ in range(workers):
                await stack.enter_async_context(working(self.settings, service, resources))
            yield counting

    def start_worker_process(self) -> WorkerProcess:
        return WorkerProcess(self.settings)


@dataclass(frozen=True)
class Counting:
    site: Site
    service: Service
    resources: Resources

    async def order(
        self,
        *,
        to: int = 3,
        seconds_per_step: float = 0.0,
        checkpoint_every: int = 1000,
        misbehaviour: str = "",
        at_step: int = 1,
        max_attempts: int = 3,
        branch: str = "antropologia",
        priority: int = 0,
    ) -> Job:
        spec = {
            "to": to,
            "seconds_per_step": seconds_per_step,
            "checkpoint_every": checkpoint_every,
            "misbehaviour": misbehaviour,
            "at_step": at_step,
        }
        job = new_job(spec=spec, max_attempts=max_attempts, branch=branch, priority=priority)
        return await self.resources.database.run(lambda c: self.service.jobs.create(c, job))

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[Worker]:
        async with working(self.site.settings, self.service, self.resources) as worker:
            yield worker

    async def get(self, job: Job) -> Job:
        return await self.resources.database.run(lambda c: self.service.jobs.get(c, job.name))

    async def cancel(self, job: Job) -> None:
        await self.resources.database.run(lambda c: self.service.jobs.ask_cancel(c, job.name))

    async def pause(self, job: Job) -> None:
        await self.resources.database.run(lambda c: self.service.jobs.ask_pause(c, job.name))

    async def resume(self, job: Job) -> None:
        await self.resources.database.run(lambda c: self.service.jobs.resume(c, job.name))

    async def until(self, job: Job, condition: Callable[[Job], bool], seconds: float = 40) -> Job:
        try:
            async with asyncio.timeout(seconds):
                while not condition(found := await self.get(job)):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"still waiting for {await self.get(job)}") from None
        return found

    async def ended(self, job: Job) -> Job:
        return await self.until(job, lambda job: job.state.terminal)

    async def counting(self, job: Job, step: int = 1, attempt: int = 1) -> Job:
        """Until the engine has counted to `step`."""
        return await self.until(job, lambda job: job.attempt >= attempt and job.progress.step >= step)

    async def in_state(self, job: Job, state: JobState) -> Job:
        return await self.until(job, lambda job: job.state is state)

    async def events(self, job: Job) -> list[str]:
        """Progress left out."""
        names = await self.resources.database.run(lambda c: events_of(c, job))
        return [name for name in names if name != "progress"]

    async def measured(self, job: Job) -> list[tuple[int, float]]:
        query = measurements.select().where(measurements.c.job == job.name).order_by(measurements.c.step)
        return await self.resources.database.run(lambda c: [(row.step, row.value) for row in c.execute(query)])

    async def objects(self, prefix: str) -> list[str]:
        return [key async for key in self.resources.artifacts.list(prefix)]

    def engine_pid(self, job: Job) -> int:
        """Of the engine that works on `job` now."""
        found = (self.site.settings.data_dir / "work").glob(f"*/*/{job.id}-{job.attempt}/pid")
        return int(next(found).read_text())


class WorkerProcess:
    """`python -m tests.counting work`: killable, stoppable."""

    def __init__(self, settings: CountingSettings) -> None:
        values = {
            "DATABASE_URL": settings.database_url,
            "ARTIFACTS_URL": settings.artifacts_url,
            "ARTIFACTS_ACCESS_KEY": settings.artifacts_access_key.get_secret_value(),
            "ARTIFACTS_SECRET_KEY": settings.artifacts_secret_key.get_secret_value(),
            "EVENTS_URL": settings.events_url,
            "DATA_DIR": str(settings.data_dir),
            "LEASE_SECONDS": str(settings.lease_seconds),
            "DRAIN_SECONDS": str(settings.drain_seconds),
            "MAX_RUNNING_PER_BRANCH": str(settings.max_running_per_branch),
        }
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        self.log = settings.data_dir / "worker.log"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.counting", "work"],
                env=os.environ | {f"FRAGUA_{name}": value for name, value in values.items()},
                cwd=REPOSITORY,
                stdout=log,
                stderr=log,
            )
        tell_guard(f"watch {self._process.pid} {settings.data_dir}")

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> int:
        """SIGKILL if it has not ended already; returns the exit status."""
        if self._process.poll() is None:
            self._process.kill()
        status = self._process.wait()
        tell_guard(f"forget {self._process.pid}")
        return status

    def wait(self, seconds: float = 20) -> int:
        return self._process.wait(seconds)


@contextmanager
def worker_process(site: Site) -> Iterator[WorkerProcess]:
    worker = site.start_worker_process()
    try:
        yield worker
    finally:
        worker.end()


def lives(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
