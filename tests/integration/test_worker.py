"""Workers at work: real engines in real processes, embedded and on real servers, stopped in every way there is."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from fragua_platform.errors import FailureClass
from fragua_platform.events.bus import DeliveryPolicy
from fragua_platform.events.cloudevents import CloudEvent
from fragua_platform.jobs import attempt
from fragua_platform.jobs.job import Job, JobState
from tests.counting.service import CountingSettings, prefix_of
from tests.integration.counting_site import LEASE, Site, lives, worker_process
from tests.servers import NatsServer, PostgresServer
from tests.servers.process import REPOSITORY


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "_FIRST_RETRY", timedelta(seconds=0.2))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))


@pytest.fixture(autouse=True)
def no_engine_outlives_its_test(tmp_path: Path) -> Iterator[None]:
    yield
    deadline = time.monotonic() + 5
    while left := [pid for pid in all_processes() if str(tmp_path / "work") in command_of(pid)]:
        assert time.monotonic() < deadline, f"engines are left: {left}"
        time.sleep(0.05)


def all_processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace")
    except OSError:
        return ""


# --- the straight way


async def test_a_job_is_counted_published_measured_and_told(site: Site) -> None:
    async with site.opened() as suite:
        job = await suite.order(to=30, checkpoint_every=10)
        done = await suite.ended(job)

        assert done.state is JobState.SUCCEEDED
        assert (done.attempt, done.failures, done.failure) == (1, 0, None)
        assert done.result["count"] == 30
        assert await suite.events(job) == ["queued", "started", "succeeded"]
        assert await suite.measured(job) == [(step, float(step)) for step in range(1, 31)]
        assert f"{prefix_of(job)}/manifest.json" in await suite.objects(prefix_of(job))
        await gone(suite.objects, f"checkpoints/{job.id}")
        assert not list(site.settings.data_dir.glob(f"work/*/*/{job.id}*"))


async def gone(objects: Callable[[str], Awaitable[list[str]]], prefix: str) -> None:
    """Tidying up follows the last word."""
    async with asyncio.timeout(10):
        while await objects(prefix):
            await asyncio.sleep(0.05)


async def test_two_workers_share_the_jobs_and_finish_each_once(site: Site) -> None:
    async with site.opened(workers=2) as suite:
        jobs = [await suite.order() for _ in range(6)]
        done = [await suite.ended(job) for job in jobs]

        assert {job.state for job in done} == {JobState.SUCCEEDED}
        assert {job.attempt for job in done} == {1}
        for job in jobs:
            assert await suite.events(job) == ["queued", "started", "succeeded"]


# --- failures


@pytest.mark.parametrize(
    ("misbehaviour", "failure_class", "reason"),
    [
        ("refuses the data", FailureClass.USER_DATA, "INVALID_DATA"),
        ("refuses the request", FailureClass.USER_CONFIG, "INVALID_INPUT"),
        ("lacks memory", FailureClass.CAPACITY, "OUT_OF_MEMORY"),
        ("has a defect", FailureClass.INTERNAL, "ENGINE_DEFECT"),
        ("segfaults", FailureClass.INTERNAL, "ENGINE_CRASHED"),
        ("prints garbage and gives up", FailureClass.INTERNAL, "ENGINE_CRASHED"),
        ("leaves a child behind", FailureClass.INTERNAL, "ENGINE_CRASHED"),
    ],
)
async def test_a_failure_ends_the_job_and_says_whose_move_it_is(
    embedded: Site, misbehaviour: str, failure_class: FailureClass, reason: str
) -> None:
    async with embedded.opened() as suite:
        job = await suite.order(misbehaviour=misbehaviour)
        done = await suite.ended(job)

        assert done.state is JobState.FAILED
        assert done.failure is not None
        assert (done.failure.failure_class, done.failure.reason) == (failure_class, reason)
        assert done.attempt == 1
        assert "spec.json" in done.result["left"]
        assert await suite.events(job) == ["queued", "started", "failed"]
        if misbehaviour == "refuses the data":
            assert done.failure.violations == (("line 1", "señal perdida"),)
        if misbehaviour == "segfaults":
            assert "SIGSEGV" in done.failure.message
            assert "últimas palabras: adiós" in done.failure.message


@pytest.mark.parametrize("misbehaviour", ["prints garbage", "is loud"])
async def test_noise_of_an_engine_disturbs_nobody(embedded: Site, misbehaviour: str) -> None:
    async with embedded.opened() as suite:
        done = await suite.ended(await suite.order(misbehaviour=misbehaviour))

        assert done.state is JobState.SUCCEEDED


async def test_a_killed_engine_is_tried_again_from_its_checkpoint(site: Site) -> None:
    async with site.opened() as suite:
        job = await suite.order(to=6, checkpoint_every=2, misbehaviour="kills itself once", at_step=5)
        done = await suite.ended(job)

        assert done.state is JobState.SUCCEEDED
        assert (done.attempt, done.failures) == (2, 1)
        assert done.result["went_on_after"] == 4
        assert await suite.events(job) == ["queued", "started", "queued", "started", "succeeded"]


async def test_an_engine_that_misses_something_is_tried_again_from_its_checkpoint(site: Site) -> None:
    async with site.opened() as suite:
        job = await suite.order(to=6, checkpoint_every=2, misbehaviour="misses something once", at_step=5)
        done = await suite.ended(job)

        assert done.state is JobState.SUCCEEDED
        assert (done.attempt, done.failures) == (2, 1)
        assert done.result["went_on_after"] == 4


async def test_an_engine_that_is_killed_every_time_fails_in_the_end(embedded: Site) -> None:
    async with embedded.opened() as suite:
        done = await suite.ended(await suite.order(misbehaviour="kills itself", max_attempts=2))

        assert done.state is JobState.FAILED
        assert done.failure is not None
        assert (done.failure.failure_class, done.failure.reason) == (FailureClass.CAPACITY, "ENGINE_KILLED")
        assert done.attempt == 2


async def test_an_engine_sees_no_secret(embedded: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "FRAGUA_DATABASE_URL",
        "FRAGUA_ARTIFACTS_SECRET_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "HF_TOKEN",
        "PGPASSWORD",
    ):
        monkeypatch.setenv(name, "sqlite:///hunter2" if name == "FRAGUA_DATABASE_URL" else "hunter2")
    monkeypatch.setenv("FRAGUA_ENGINE_THREADS", "1")
    async with embedded.opened() as suite:
        done = await suite.ended(await suite.order())

        assert "hunter2" not in json.dumps(done.result)
        assert done.result["environment"]["FRAGUA_ENGINE_THREADS"] == "1"


# --- wishes


@pytest.mark.parametrize("misbehaviour", ["", "ignores SIGTERM"])
async def test_a_cancellation_reaches_a_running_engine_within_two_seconds(embedded: Site, misbehaviour: str) -> None:
    async with embedded.opened() as suite:
        job = await suite.order(to=10_000, seconds_per_step=0.02, misbehaviour=misbehaviour, checkpoint_every=20)
        pid = suite.engine_pid(await suite.counting(job))

        asked = time.monotonic()
        await suite.cancel(job)
        await suite.in_state(job, JobState.CANCELLED)

        assert time.monotonic() - asked < 2.0
        assert not lives(pid)
        assert await suite.events(job) == ["queued", "started", "cancelled"]
        assert await suite.objects(prefix_of(job)) == []
        await gone(suite.objects, f"checkpoints/{job.id}")


async def test_a_paused_job_goes_on_where_it_stopped(site: Site) -> None:
    async with site.opened() as suite:
        job = await suite.order(to=60, seconds_per_step=0.05)
        await suite.counting(job, step=5)

        asked = time.monotonic()
        await suite.pause(job)
        paused = await suite.in_state(job, JobState.PAUSED)
        assert time.monotonic() - asked < 2.0
        await suite.resume(job)
        done = await suite.ended(job)

        assert done.state is JobState.SUCCEEDED
        assert (done.attempt, done.failures) == (2, 0)
        assert done.result["went_on_after"] >= max(5, paused.progress.step)
        assert await suite.events(job) == ["queued", "started", "paused", "queued", "started", "succeeded"]


async def test_a_cancellation_overtakes_a_pause_that_takes_long(embedded: Site) -> None:
    async with embedded.opened() as suite:
        job = await suite.order(to=10_000, seconds_per_step=0.02, misbehaviour="ignores SIGTERM")
        await suite.counting(job)
        await suite.pause(job)
        await asyncio.sleep(1.2)

        await suite.cancel(job)

        await suite.in_state(job, JobState.CANCELLED)


async def test_a_pause_that_is_taken_back_costs_nothing(embedded: Site) -> None:
    async with embedded.opened() as suite:
        job = await suite.order(to=60, seconds_per_step=0.05)
        await suite.counting(job)
        await suite.pause(job)
        await suite.resume(job)

        done = await suite.ended(job)

        assert (done.state, done.failures) == (JobState.SUCCEEDED, 0)


# --- workers that go


async def test_a_drained_worker_gives_its_job_back_at_no_cost(site: Site) -> None:
    async with site.opened(workers=0) as suite:
        async with suite.worker():
            job = await suite.order(to=40, seconds_per_step=0.05)
            await suite.counting(job, step=3)
        assert (await suite.get(job)).state is JobState.QUEUED
        async with suite.worker():
            done = await suite.ended(job)

        assert (done.state, done.attempt, done.failures) == (JobState.SUCCEEDED, 2, 0)
        assert done.result["went_on_after"] >= 3


async def test_an_engine_that_takes_too_long_to_stop_costs_its_work_but_no_attempt(tmp_path: Path) -> None:
    site = Site(CountingSettings.load(data_dir=tmp_path, lease_seconds=LEASE, drain_seconds=0.3))
    async with site.opened(workers=0) as suite:
        async with suite.worker():
            job = await suite.order(to=10_000, seconds_per_step=0.02, misbehaviour="ignores SIGTERM")
            pid = suite.engine_pid(await suite.counting(job))

        found = await suite.get(job)
        assert (found.state, found.failures) == (JobState.QUEUED, 0)
        assert not lives(pid)


async def test_a_killed_workers_job_is_finished_by_another_one_once(on_servers: Site) -> None:
    async with on_servers.opened(workers=0) as suite:
        job = await suite.order(to=40, seconds_per_step=0.1, checkpoint_every=5)
        with worker_process(on_servers) as worker:
            running = await suite.counting(job, step=12)
            pid = suite.engine_pid(running)
            worker.signal(signal.SIGKILL)
        async with suite.worker():
            done = await suite.ended(job)

            assert (done.state, done.failures) == (JobState.SUCCEEDED, 1)
            assert done.result["went_on_after"] >= 5
            assert Counter(await suite.events(job))["succeeded"] == 1
            assert not lives(pid)
            # The folder that the killed worker left went when the next one began.
            assert not list(on_servers.settings.data_dir.glob(f"work/*/*/{job.id}-1"))


async def test_a_worker_that_wakes_up_too_late_changes_nothing(on_servers: Site) -> None:
    async with on_servers.opened(workers=0) as suite:
        job = await suite.order(to=30, seconds_per_step=0.1, checkpoint_every=5)
        with worker_process(on_servers) as zombie:
            running = await suite.counting(job, step=3)
            pid = suite.engine_pid(running)
            zombie.signal(signal.SIGSTOP)
            async with suite.worker():
                done = await suite.ended(job)
                await gone(suite.objects, f"checkpoints/{job.id}")
            rows, events = await suite.measured(job), await suite.events(job)
            objects = await suite.objects("")

            zombie.signal(signal.SIGCONT)
            async with asyncio.timeout(15):
                while lives(pid):
                    await asyncio.sleep(0.05)
            zombie.signal(signal.SIGTERM)
            # What it was uploading when it froze may come through; it takes that away again.
            assert await asyncio.to_thread(zombie.wait) == 0

        assert done.state is JobState.SUCCEEDED
        assert await suite.get(job) == done
        assert (await suite.measured(job), await suite.events(job)) == (rows, events)
        assert await suite.objects("") == objects


async def test_sigterm_lets_a_worker_process_save_and_leave(on_servers: Site) -> None:
    async with on_servers.opened(workers=0) as suite:
        job = await suite.order(to=10_000, seconds_per_step=0.05)
        with worker_process(on_servers) as worker:
            await suite.counting(job, step=3)
            worker.signal(signal.SIGTERM)
            assert await asyncio.to_thread(worker.wait) == 0

        found = await suite.get(job)
        assert (found.state, found.failures) == (JobState.QUEUED, 0)
        assert await suite.objects(f"checkpoints/{job.id}") != []


# --- servers that go


@pytest.mark.parametrize("server", ["nats_server", "postgres_server", "s3_server"])
async def test_a_job_ends_once_though_a_server_is_killed_under_it(
    on_servers: Site, server: str, request: pytest.FixtureRequest
) -> None:
    victim = request.getfixturevalue(server)
    async with on_servers.opened() as suite:
        job = await suite.order(to=40, seconds_per_step=0.1, checkpoint_every=5)
        await suite.counting(job, step=3)
        while not await suite.objects(f"checkpoints/{job.id}"):  # the S3 server forgets buckets that are empty
            await asyncio.sleep(0.05)
        await asyncio.to_thread(victim.kill)
        await asyncio.sleep(2 * LEASE if server == "nats_server" else 1)
        await asyncio.to_thread(victim.start)

        done = await suite.ended(job)

        assert done.state is JobState.SUCCEEDED
        # A row that nobody could write is a lease that nobody could take.
        assert done.attempt == 1
        assert Counter(await suite.events(job))["succeeded"] == 1
        assert await suite.measured(job) == [(step, float(step)) for step in range(1, 41)]


async def test_jobs_that_wait_while_the_database_is_away_are_not_given_up(
    on_servers: Site, postgres_server: PostgresServer
) -> None:
    settings = on_servers.settings.model_copy(update={"max_deliveries": 2})
    async with Site(settings).opened(workers=0) as suite:
        job = await suite.order()
        await asyncio.sleep(1)  # until the message is in the queue
        await asyncio.to_thread(postgres_server.kill)
        async with suite.worker():
            await asyncio.sleep(3 * LEASE)
            await asyncio.to_thread(postgres_server.start)

            done = await suite.ended(job)

        assert (done.state, done.attempt) == (JobState.SUCCEEDED, 1)


async def test_events_written_while_the_bus_is_away_are_heard_later_in_order_and_once(
    on_servers: Site, nats_server: NatsServer
) -> None:
    async with on_servers.opened(workers=0) as suite:
        heard: list[CloudEvent] = []

        async def hear(event: CloudEvent) -> None:
            heard.append(event)

        await suite.resources.bus.subscribe("counting-tests", ["fragua.v1.>"], hear)
        await asyncio.to_thread(nats_server.kill)
        jobs = [await suite.order() for _ in range(5)]
        await suite.cancel(jobs[0])
        await asyncio.sleep(1)
        await asyncio.to_thread(nats_server.start)
        async with asyncio.timeout(20):
            while len(heard) < 6:
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)

        told = [(json.loads(event.body)["job"], event.subject.rpartition(".")[2]) for event in heard]
        assert told == [(job.name, "queued") for job in jobs] + [(jobs[0].name, "cancelled")]


# --- queues that give up


async def test_a_job_whose_deliveries_are_used_up_fails_and_tells_so(site: Site) -> None:
    async with site.opened(workers=0) as suite:
        job = await suite.order()
        queue = await suite.resources.bus.work_queue("counting", DeliveryPolicy(ack_wait=LEASE, max_deliveries=2))
        for _ in range(2):
            delivery = await queue.pull(10)
            assert delivery is not None
            await delivery.retry(0)

        done = await suite.ended(job)

        assert done.failure is not None
        assert done.failure.reason == "DELIVERIES_EXHAUSTED"
        assert "2 times" in done.failure.message
        assert await suite.events(job) == ["queued", "failed", "dead"]


# --- restarts of everything


async def test_an_embedded_suite_goes_on_with_what_it_had(embedded: Site) -> None:
    async with embedded.opened(workers=0) as suite:
        jobs: list[Job] = [await suite.order() for _ in range(3)]

    async with embedded.opened() as suite:
        assert [(await suite.ended(job)).state for job in jobs] == [JobState.SUCCEEDED] * 3
