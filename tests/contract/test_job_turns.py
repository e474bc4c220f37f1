"""Whose turn it is among waiting jobs, held against SQLite and PostgreSQL: priorities, fairness, limits of branches."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TypeVar

import pytest
from sqlalchemy.engine import Connection

from fragua_platform.database import Database
from fragua_platform.errors import FailedPrecondition, FailureClass, Superseded
from fragua_platform.events.bus import DeadLetter, QueuedWork
from fragua_platform.jobs.job import Job, JobFailure, JobState
from fragua_platform.jobs.store import Claim
from fragua_platform.jobs.turns import BranchLimits
from tests.jobs import delete_rows, metadata, new_job, new_store

LEASE = timedelta(seconds=30)
LOST_AT_ONCE = timedelta(seconds=-1)
BROKEN = JobFailure(FailureClass.INTERNAL, "BROKEN", "se rompió")
T = TypeVar("T")


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    database = Database(request.getfixturevalue(f"{request.param}_with_tables"))
    database.transact(delete_rows)
    yield database
    await database.close()


class Workshop:
    """Jobs, and a queue that gives their messages out one by one, each until it is acknowledged."""

    def __init__(self, database: Database, limits: BranchLimits | None = None) -> None:
        self._database = database
        self.jobs = new_store(limits)
        self._queue: deque[QueuedWork] = deque()
        self._relayed = 0
        self._one_at_a_time = threading.Lock()

    def order(self, branch: str = "tutor", **changes: object) -> Job:
        return self.do(lambda c: self.jobs.create(c, new_job(branch=branch, **changes)))

    def pull(self) -> QueuedWork | None:
        with self._one_at_a_time:
            self._relay()
            return self._queue.popleft() if self._queue else None

    def _relay(self) -> None:
        outbox = metadata.tables["outbox"]
        query = outbox.select().where(outbox.c.kind == "work", outbox.c.position > self._relayed)
        for row in self.do(lambda c: c.execute(query.order_by(outbox.c.position)).all()):
            self._queue.append(QueuedWork(message_id=row.message_id, **row.payload))
            self._relayed = row.position

    def give_back(self, work: QueuedWork) -> None:
        with self._one_at_a_time:
            self._queue.append(work)

    def claim(self, work: QueuedWork, lease: timedelta = LEASE) -> Claim:
        return self.do(lambda c: self.jobs.claim(c, work, "worker", lease))

    def start(self, lease: timedelta = LEASE) -> Job | None:
        """What a free worker starts next; None when nothing may start."""
        while (work := self.pull()) is not None:
            claim = self.claim(work, lease)
            if claim.won:
                return claim.job
            assert not claim.retry_after
        return None

    def finish(self, job: Job) -> None:
        self.do(lambda c: self.jobs.succeed(c, job, {}))

    def get(self, job: Job) -> Job:
        return self.do(lambda c: self.jobs.get(c, job.name))

    def do(self, work: Callable[[Connection], T]) -> T:
        return self._database.transact(work)


@pytest.fixture
def shop(database: Database) -> Workshop:
    return Workshop(database)


def started(shop: Workshop, number: int) -> list[Job]:
    found = [shop.start() for _ in range(number)]
    return [job for job in found if job is not None]


# --- priorities


def test_the_greatest_priority_starts_first(shop: Workshop) -> None:
    jobs = [shop.order(priority=priority) for priority in (0, -5, 10, 0, 3)]

    assert [job.id for job in started(shop, 5)] == [jobs[n].id for n in (2, 4, 0, 3, 1)]
    assert shop.start() is None


def test_an_urgent_job_of_a_busy_branch_goes_before_an_idle_branchs_job(shop: Workshop) -> None:
    shop.order("ba")
    shop.start()
    shop.order("tutor")
    urgent = shop.order("ba", priority=1)

    assert [job.id for job in started(shop, 1)] == [urgent.id]


# --- fairness


def test_fifty_jobs_of_one_branch_do_not_keep_a_single_worker_from_the_others(shop: Workshop) -> None:
    for _ in range(50):
        shop.order("antropologia")
    others = [shop.order(branch) for branch in ("tutor", "ba", "tutor")]
    first = []
    for _ in range(8):
        job = shop.start()
        assert job is not None
        first.append(job)
        shop.finish(job)

    assert {job.id for job in others} <= {job.id for job in first}
    assert [job.branch for job in first[:3]] == ["antropologia", "tutor", "ba"]


def test_workers_go_to_the_branch_that_has_the_fewest(shop: Workshop) -> None:
    for _ in range(50):
        shop.order("antropologia")
    busy = started(shop, 4)
    for branch in ("tutor", "ba", "tutor", "tutor"):
        shop.order(branch)

    assert Counter(job.branch for job in busy) == {"antropologia": 4}
    assert Counter(job.branch for job in started(shop, 4)) == {"tutor": 3, "ba": 1}


def test_the_jobs_of_one_branch_start_in_the_order_of_their_creation(shop: Workshop) -> None:
    jobs = [shop.order() for _ in range(5)]

    assert [job.id for job in started(shop, 5)] == [job.id for job in jobs]


# --- limits


def test_a_branch_at_its_limit_leaves_the_workers_to_others(database: Database) -> None:
    shop = Workshop(database, BranchLimits(default=2, of={"ba": 1}))
    for branch in ("tutor", "ba"):
        for _ in range(5):
            shop.order(branch)

    assert Counter(job.branch for job in started(shop, 10)) == {"tutor": 2, "ba": 1}
    assert shop.pull() is None, "what has to wait for its branch costs no deliveries"


def test_a_job_that_ends_lets_the_next_one_of_its_branch_start(database: Database) -> None:
    shop = Workshop(database, BranchLimits(default=1))
    shop.order()
    running = shop.start()
    waiting = [shop.order(priority=priority) for priority in (0, 7)]
    assert running is not None
    assert shop.start() is None
    assert "as many jobs as it may" in shop.get(waiting[0]).progress.message

    shop.finish(running)

    assert [job.id for job in started(shop, 3)] == [waiting[1].id]


@pytest.mark.parametrize("how", ["failed", "given back", "resting", "paused", "vanished", "dead"])
def test_whatever_frees_a_place_offers_it(database: Database, how: str) -> None:
    shop = Workshop(database, BranchLimits(default=1))
    shop.order()
    running = shop.start(LOST_AT_ONCE if how in ("vanished", "dead") else LEASE)
    next_one = shop.order(priority=1)
    assert running is not None
    assert shop.start() is None
    jobs = shop.jobs
    if how == "failed":
        shop.do(lambda c: jobs.fail(c, running, BROKEN, {}))
    elif how == "given back":
        shop.do(lambda c: jobs.give_back(c, running))
    elif how == "resting":
        shop.do(lambda c: jobs.retry(c, running, BROKEN, timedelta(hours=1)))
    elif how == "paused":
        shop.do(lambda c: [jobs.ask_pause(c, running.name), jobs.give_back(c, running)])
    elif how == "vanished":
        shop.do(lambda c: jobs.requeue_vanished(c, None))
    else:
        letter = DeadLetter(QueuedWork("counting", running.id, running.message), 20, "nobody answered")
        assert shop.do(lambda c: jobs.dead_lettered(c, letter)) is not None

    assert [job.id for job in started(shop, 1)] == [next_one.id]


def test_a_raised_limit_is_noticed(database: Database) -> None:
    shop = Workshop(database, BranchLimits(default=1))
    for _ in range(4):
        shop.order()
    assert len(started(shop, 4)) == 1

    shop.jobs = new_store(BranchLimits(default=3))

    assert len(shop.do(shop.jobs.offer_held)) == 2
    assert len(shop.do(shop.jobs.offer_held)) == 0, "places that were offered are not free"
    assert len(started(shop, 4)) == 2


# --- messages that stand for another job than they were sent for


def exchanged(shop: Workshop) -> tuple[Job, QueuedWork, Job, QueuedWork]:
    """A job that runs by the message of another, which waits by the first one's."""
    waiting, urgent = shop.order(), shop.order(priority=1)
    of_waiting, of_urgent = shop.pull(), shop.pull()
    assert of_waiting is not None
    assert of_urgent is not None
    claim = shop.claim(of_waiting, LOST_AT_ONCE)
    assert claim.won
    assert claim.job.id == urgent.id
    return claim.job, of_waiting, shop.get(waiting), of_urgent


def test_a_message_that_is_delivered_again_brings_back_the_job_that_was_worked_on(shop: Workshop) -> None:
    urgent, its_message, waiting, _ = exchanged(shop)

    again = shop.claim(its_message)

    assert (again.job.id, again.job.attempt, again.job.failures) == (urgent.id, 2, 1)
    assert shop.get(waiting).attempt == 0


def test_a_dead_letter_ends_the_job_that_was_worked_on(shop: Workshop) -> None:
    urgent, its_message, waiting, other_message = exchanged(shop)

    buried = shop.do(lambda c: shop.jobs.dead_lettered(c, DeadLetter(its_message, 20, "nobody answered")))

    assert buried is not None
    assert buried.id == urgent.id
    assert buried.state is JobState.FAILED
    assert shop.get(waiting).state is JobState.QUEUED
    assert shop.claim(other_message).job.id == waiting.id


def test_a_cancelled_job_takes_no_other_ones_message_along(shop: Workshop) -> None:
    urgent, _, waiting, other_message = exchanged(shop)
    shop.do(lambda c: shop.jobs.ask_cancel(c, urgent.name))

    assert shop.claim(other_message).job.id == waiting.id


def test_work_that_rested_goes_on_by_its_own_message(shop: Workshop) -> None:
    begun = shop.order()
    its_message = shop.pull()
    assert its_message is not None
    running = shop.claim(its_message).job
    shop.do(lambda c: shop.jobs.retry(c, running, BROKEN, timedelta(0)))
    urgent = shop.order(priority=9)

    again = shop.claim(its_message)

    assert (again.job.id, again.job.attempt) == (begun.id, 2)
    assert [job.id for job in started(shop, 1)] == [urgent.id]


# --- everything at once


@pytest.mark.parametrize("seed", [1, 2])
def test_no_job_is_lost_or_run_twice_whatever_happens_at_once(database: Database, seed: int) -> None:
    """Four workers and one restless client; workers vanish, give back, rest and fail, and the limits hold throughout."""
    limits = BranchLimits(default=2, of={"ba": 1, "libre": 0})
    shop, dice = Workshop(database, limits), random.Random(seed)
    branches = ["antropologia"] * 14 + ["ba"] * 5 + ["libre"] * 5
    dice.shuffle(branches)
    orders = [shop.order(branch, priority=dice.choice([0, 0, 5]), max_attempts=50) for branch in branches]
    running: set[str] = set()
    most: Counter[str] = Counter()
    guard = threading.Lock()
    deadline = time.monotonic() + 40

    def work(number: int) -> None:
        own = random.Random(100 * seed + number)
        while time.monotonic() < deadline and any(not shop.get(job).state.terminal for job in orders):
            if (message := shop.pull()) is None:
                continue
            claim = shop.claim(message)
            if not claim.won:
                if claim.retry_after:
                    shop.give_back(message)
                continue
            job = claim.job
            with guard:
                assert job.id not in running, "two at once work on one job"
                running.add(job.id)
                now = Counter(shop.get(order).branch for order in orders if order.id in running)
                for branch, count in now.items():
                    most[branch] = max(most[branch], count)
            fate = own.choice(["succeed", "succeed", "give back", "rest", "fail", "vanish"])
            with guard:
                running.discard(job.id)
                end_as(fate, job, message)

    def end_as(fate: str, job: Job, message: QueuedWork) -> None:
        with suppress(Superseded):
            if fate == "succeed":
                shop.finish(job)
            elif fate == "give back":
                shop.do(lambda c: shop.jobs.give_back(c, job))
            elif fate == "fail":
                shop.do(lambda c: shop.jobs.fail(c, job, BROKEN, {}))
            elif fate == "rest":
                rested = shop.do(lambda c: shop.jobs.retry(c, job, BROKEN, timedelta(0)))
                if rested.not_before:
                    shop.give_back(message)
            else:
                shop.do(lambda c: shop.jobs.extend(c, job, LOST_AT_ONCE))
                shop.give_back(message)

    def ask(deed: Callable[..., object], job: Job) -> None:
        with suppress(FailedPrecondition):
            shop.do(partial(deed, name=job.name))

    def wish() -> None:
        own = random.Random(-seed)
        for _ in range(40):
            ask(own.choice([shop.jobs.ask_pause, shop.jobs.resume]), own.choice(orders))
        for job in orders:
            if own.random() < 0.1:
                ask(shop.jobs.ask_cancel, job)
            ask(shop.jobs.resume, job)

    with ThreadPoolExecutor(5) as people:
        tasks = [people.submit(work, number) for number in range(4)] + [people.submit(wish)]
        for task in tasks:
            task.result(timeout=60)

    assert all(shop.get(job).state.terminal for job in orders)
    assert most["antropologia"] <= 2
    assert most["ba"] <= 1
