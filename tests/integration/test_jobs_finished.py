"""Every job that ends is counted once, whoever ended it: its worker, a client, the keeper or the queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from sqlalchemy.engine import Connection

from fragua_platform.events.bus import DeliveryPolicy
from fragua_platform.jobs.desk import JobDesk
from fragua_platform.jobs.job import Job, JobState
from fragua_platform.jobs.keeper import JobKeeper
from tests.counting.service import CountingSettings
from tests.integration.counting_site import Counting, Site
from tests.jobs import SERVICE, work_of

NO_TIME = timedelta(0)
A_MOMENT = timedelta(milliseconds=50)


@pytest.fixture
async def suite(tmp_path: Path) -> AsyncIterator[Counting]:
    """Without a worker; the service's own keeper looks too seldom to take part."""
    async with Site(CountingSettings.load(data_dir=tmp_path)).opened(workers=0) as suite:
        yield suite


def finished() -> dict[str, float]:
    states = (state.value for state in JobState if state.terminal)
    labels = ({"service": SERVICE, "outcome": state} for state in states)
    return {each["outcome"]: REGISTRY.get_sample_value("fragua_jobs_finished_total", each) or 0.0 for each in labels}


@contextmanager
def counts_one(outcome: JobState) -> Iterator[None]:
    before = finished()
    yield
    assert finished() == before | {outcome.value: before[outcome.value] + 1}


async def claimed_by_a_worker_that_vanished(suite: Counting, job: Job) -> None:
    def claim_and_vanish(connection: Connection) -> None:
        suite.service.jobs.claim(connection, work_of(connection, job)[-1], "dead", NO_TIME)

    await suite.resources.database.run(claim_and_vanish)


async def keep_for_a_while(suite: Counting, *, keepers: int) -> None:
    """As many keepers at once as a service has API processes."""
    resources, jobs = suite.resources, suite.service.jobs
    with suppress(TimeoutError):
        async with asyncio.timeout(1):
            await asyncio.gather(
                *(JobKeeper(resources.database, jobs, resources.bus, A_MOMENT).run() for _ in range(keepers))
            )


async def test_by_a_worker(suite: Counting) -> None:
    with counts_one(JobState.SUCCEEDED):
        async with suite.worker():
            job = await suite.ended(await suite.order())
    assert job.state is JobState.SUCCEEDED


async def test_by_a_client_that_cancels_what_nobody_runs(suite: Counting) -> None:
    desk = JobDesk(suite.resources.database, suite.service.jobs, kind="count", collection="counts", max_attempts=3)
    job = await suite.order()
    with counts_one(JobState.CANCELLED):
        await desk.cancel(job.name)


async def test_by_one_of_the_keepers_when_the_last_attempt_vanished(suite: Counting) -> None:
    job = await suite.order(max_attempts=1)
    await claimed_by_a_worker_that_vanished(suite, job)
    with counts_one(JobState.FAILED):
        await keep_for_a_while(suite, keepers=3)
    assert (await suite.get(job)).state is JobState.FAILED


async def test_by_nobody_while_attempts_are_left(suite: Counting) -> None:
    job = await suite.order(max_attempts=2)
    await claimed_by_a_worker_that_vanished(suite, job)
    before = finished()
    await keep_for_a_while(suite, keepers=1)
    assert finished() == before
    assert (await suite.get(job)).state is JobState.QUEUED


async def test_by_the_next_worker_that_reaches_for_it(suite: Counting) -> None:
    job = await suite.order(max_attempts=1)
    await claimed_by_a_worker_that_vanished(suite, job)
    with counts_one(JobState.FAILED):
        async with suite.worker():
            await suite.ended(job)


async def test_by_the_keeper_of_a_service_that_starts_again(tmp_path: Path) -> None:
    site = Site(CountingSettings.load(data_dir=tmp_path))
    async with site.opened(workers=0) as suite:
        job = await suite.order(max_attempts=1)
        await claimed_by_a_worker_that_vanished(suite, job)
    with counts_one(JobState.FAILED):
        async with site.opened(workers=0) as suite:
            await suite.ended(job)


async def test_by_the_queue_when_it_gives_up(suite: Counting) -> None:
    job = await suite.order()
    queue = await suite.resources.bus.work_queue(SERVICE, DeliveryPolicy(ack_wait=30, max_deliveries=1))
    with counts_one(JobState.FAILED):
        delivery = await queue.pull(10)
        assert delivery is not None
        await delivery.retry(0)
        await suite.ended(job)
        await asyncio.sleep(0.2)  # the count follows the commit
    assert (await suite.get(job)).state is JobState.FAILED
