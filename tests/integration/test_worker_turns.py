"""Workers share one queue: no job runs twice, branches take turns, limits and priorities hold."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from datetime import timedelta

import pytest

from fragua_platform.jobs import attempt
from fragua_platform.jobs.job import Job, JobState
from tests.integration.counting_site import Site, lives, worker_process
from tests.servers.process import REPOSITORY


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "_FIRST_RETRY", timedelta(seconds=0.2))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))


def limited(site: Site, limit: int) -> Site:
    return Site(site.settings.model_copy(update={"max_running_per_branch": limit}))


def starts(jobs: list[Job]) -> list[Job]:
    return sorted(jobs, key=lambda job: job.started or job.created)


def most_at_once(jobs: list[Job]) -> int:
    """How many of `jobs` ran at the same moment."""
    moments = [(job.started, 1) for job in jobs] + [(job.ended, -1) for job in jobs]
    running = most = 0
    for _, change in sorted(moments, key=lambda moment: (str(moment[0]), moment[1])):
        running += change
        most = max(most, running)
    return most


async def test_four_workers_do_each_job_once_and_keep_to_the_limit_of_a_branch(site: Site) -> None:
    async with limited(site, 2).opened(workers=4) as suite:
        jobs = [await suite.order(branch=branch) for branch in ["antropologia"] * 10 + ["ba", "tutor"] * 3]
        done = [await suite.ended(job) for job in jobs]

        assert {(job.state, job.attempt, job.failures) for job in done} == {(JobState.SUCCEEDED, 1, 0)}
        for job in jobs:
            assert await suite.events(job) == ["queued", "started", "succeeded"]
        assert most_at_once([job for job in done if job.branch == "antropologia"]) <= 2


async def test_a_full_queue_of_one_branch_starves_no_other(site: Site) -> None:
    async with site.opened(workers=0) as suite:
        many = [await suite.order() for _ in range(50)]
        few = [await suite.order(branch=branch) for branch in ("tutor", "ba")]
        urgent = await suite.order(branch="qa", priority=10)
        await asyncio.sleep(1)  # until the messages are in the queue, in the order in which they were written
        async with suite.worker():
            done = [await suite.ended(job) for job in (*few, urgent)]
            begun = [job for job in [await suite.get(job) for job in many] if job.started]

        assert starts(done)[0].id == urgent.id
        first_four = starts([*begun, *done])[:4]
        assert Counter(job.branch for job in first_four) == {"qa": 1, "antropologia": 1, "tutor": 1, "ba": 1}


async def test_a_worker_killed_with_an_exchanged_message_leaves_both_jobs_to_others(on_servers: Site) -> None:
    site = limited(on_servers, 1)
    async with site.opened(workers=0) as suite:
        waiting = await suite.order()
        await asyncio.sleep(1)  # until its message is in the queue; the next one's comes behind
        urgent = await suite.order(to=40, seconds_per_step=0.1, checkpoint_every=5, priority=5)
        with worker_process(site) as worker:
            running = await suite.counting(urgent, step=12)
            pid = suite.engine_pid(running)
            assert (await suite.get(waiting)).state is JobState.QUEUED
            worker.signal(signal.SIGKILL)
        async with suite.worker(), suite.worker():
            done = await suite.ended(urgent)
            other = await suite.ended(waiting)

        assert (done.state, done.attempt, done.failures) == (JobState.SUCCEEDED, 2, 1)
        assert done.result["went_on_after"] >= 5
        assert (other.state, other.attempt, other.failures) == (JobState.SUCCEEDED, 1, 0)
        assert most_at_once([done, other]) == 1
        assert not lives(pid)
