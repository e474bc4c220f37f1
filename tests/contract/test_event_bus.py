"""What the suite relies on from an event bus, held against both implementations."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from fragua_platform.errors import InvalidInput, Unavailable
from fragua_platform.events.bus import DeadLetter, DeliveryPolicy, EventBus, QueuedWork
from fragua_platform.events.cloudevents import CloudEvent
from fragua_platform.events.open import open_event_bus

QUICK = DeliveryPolicy(ack_wait=1.0, max_deliveries=3, backoff=(0.05,))
ids = (f"{kind}-{number}" for kind, number in zip(itertools.repeat("test"), itertools.count(), strict=False))


@pytest.fixture(params=["memory", "nats"])
def bus_url(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        return "memory://"
    url: str = request.getfixturevalue("nats_url")
    return url


@pytest.fixture
async def bus(bus_url: str) -> AsyncIterator[EventBus]:
    bus = await open_event_bus(bus_url, name="contract tests")
    yield bus
    await bus.close()


def event(subject: str = "fragua.v1.tutor.trainer.job.succeeded", *, body: bytes = b"{}") -> CloudEvent:
    return CloudEvent(
        id=next(ids),
        subject=subject,
        source="/fragua/trainer",
        type="fragua.common.v1.JobStateChanged",
        time=datetime.now(UTC),
        body=body,
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )


def work(job_id: str = "job-1", queue: str = "trainer") -> QueuedWork:
    return QueuedWork(queue, job_id, message_id=next(ids), traceparent="00-1-2-01")


class Heard:
    """A handler that remembers, and fails as often as it is told to."""

    def __init__(self, failures: int = 0, *, failing: Callable[[CloudEvent], bool] = lambda _: True) -> None:
        self.events: list[CloudEvent] = []
        self.attempts: Counter[str] = Counter()
        self._failures = failures
        self._failing = failing

    async def __call__(self, event: CloudEvent) -> None:
        self.attempts[event.id] += 1
        if self._failing(event) and self.attempts[event.id] <= self._failures:
            raise RuntimeError("the database is away: señal perdida")
        self.events.append(event)

    @property
    def subjects(self) -> list[str]:
        return [event.subject for event in self.events]


async def eventually(condition: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def going_on(task: Awaitable[None]) -> AsyncIterator[None]:
    """A publisher that may wait for its subscribers."""
    running = asyncio.ensure_future(task)
    yield
    await running


async def test_a_subscriber_hears_the_events_that_its_wildcards_match(bus: EventBus) -> None:
    jobs, tutor = Heard(), Heard()
    await bus.subscribe("jobs", ["fragua.v1.*.*.job.succeeded", "fragua.v1.*.*.job.failed"], jobs)
    await bus.subscribe("tutor", ["fragua.v1.tutor.>"], tutor)

    for subject in ("tutor.trainer.job.succeeded", "ba.exporter.job.failed", "tutor.trainer.job.progress"):
        await bus.publish(event(f"fragua.v1.{subject}"))

    await eventually(lambda: len(jobs.events) == 2 and len(tutor.events) == 2)
    assert jobs.subjects == ["fragua.v1.tutor.trainer.job.succeeded", "fragua.v1.ba.exporter.job.failed"]
    assert tutor.subjects == ["fragua.v1.tutor.trainer.job.succeeded", "fragua.v1.tutor.trainer.job.progress"]


async def test_an_event_arrives_as_it_was_published(bus: EventBus) -> None:
    heard = Heard()
    await bus.subscribe("reader", ["fragua.v1.>"], heard)
    published = event("fragua.v1.antropología.dataset.version.created", body='{"título": "Año 年 🔥"}'.encode())

    await bus.publish(published)

    await eventually(lambda: bool(heard.events))
    assert heard.events == [published]


async def test_events_that_came_while_nobody_listened_are_delivered_to_the_next_of_the_same_name(bus: EventBus) -> None:
    before, after = Heard(), Heard()
    subscription = await bus.subscribe("evaluator", ["fragua.v1.>"], before)
    await bus.publish(event())
    await eventually(lambda: len(before.events) == 1)
    await subscription.stop()
    missed = event()

    async with going_on(bus.publish(missed)):
        await asyncio.sleep(0.1)
        await bus.subscribe("evaluator", ["fragua.v1.>"], after)
        await eventually(lambda: after.events == [missed])

    assert len(before.events) == 1


async def test_stopping_waits_for_the_event_in_hand(bus: EventBus) -> None:
    steps = []

    async def slow(_: CloudEvent) -> None:
        steps.append("begun")
        await asyncio.sleep(0.3)
        steps.append("ended")

    subscription = await bus.subscribe("slow", ["fragua.v1.>"], slow)
    async with going_on(bus.publish(event())):
        await eventually(lambda: steps == ["begun"])
        await subscription.stop()
        assert steps == ["begun", "ended"]


async def test_subscribers_of_one_name_share_its_events(bus: EventBus) -> None:
    one, other = Heard(), Heard()
    await bus.subscribe("pair", ["fragua.v1.>"], one)
    await bus.subscribe("pair", ["fragua.v1.>"], other)
    published = [event() for _ in range(10)]

    for each in published:
        await bus.publish(each)

    await eventually(lambda: len(one.events) + len(other.events) == 10)
    assert sorted(heard.id for heard in one.events + other.events) == sorted(each.id for each in published)


async def test_a_handler_that_fails_twice_is_called_a_third_time(bus: EventBus) -> None:
    heard = Heard(failures=2)
    await bus.subscribe("shaky", ["fragua.v1.>"], heard, QUICK)
    published = event()

    await bus.publish(published)

    await eventually(lambda: heard.events == [published])
    assert heard.attempts[published.id] == 3


async def test_an_event_that_nobody_can_handle_goes_to_the_dead_letters_and_the_next_one_is_handled(
    bus: EventBus,
) -> None:
    heard = Heard(failures=1000, failing=lambda event: event.body == b'{"poison": true}')
    await bus.subscribe("reader", ["fragua.v1.>"], heard, QUICK)
    poison, good = event(body=b'{"poison": true}'), event()

    await bus.publish(poison)
    await bus.publish(good)

    await eventually(lambda: heard.events == [good] and heard.attempts[poison.id] == 3)
    async with asyncio.timeout(5):
        assert await anext(bus.tail(["fragua.dead.events.reader"], replay=True)) == poison


async def test_the_same_event_again_has_no_effect(bus: EventBus) -> None:
    heard = Heard()
    await bus.subscribe("once", ["fragua.v1.>"], heard)
    published, last = event(), event()

    await bus.publish(published)
    await bus.publish(published)
    await bus.publish(last)

    await eventually(lambda: last in heard.events)
    assert heard.events == [published, last]


async def test_each_of_200_units_goes_to_exactly_one_of_four_workers(bus: EventBus) -> None:
    done: list[str] = []
    jobs = [f"job-{number}" for number in range(200)]

    async def worker() -> None:
        queue = await bus.work_queue("trainer", DeliveryPolicy())
        while delivery := await queue.pull(timeout=1):
            await asyncio.sleep(0.001)
            done.append(delivery.work.job_id)
            await delivery.ack()

    async def enqueue_all() -> None:
        for job_id in jobs:
            await bus.enqueue(work(job_id))

    await asyncio.gather(enqueue_all(), *(worker() for _ in range(4)))

    assert sorted(done) == sorted(jobs)


async def test_a_unit_arrives_as_it_was_enqueued_on_its_own_queue(bus: EventBus) -> None:
    trainer, exporter = await bus.work_queue("trainer", QUICK), await bus.work_queue("exporter", QUICK)
    enqueued = work("jobs/año-7", queue="exporter")

    await bus.enqueue(enqueued)

    delivery = await exporter.pull(timeout=2)
    assert delivery is not None
    assert delivery.work == enqueued
    assert delivery.number == 1
    await delivery.ack()
    assert await trainer.pull(timeout=0.1) is None


async def test_the_same_message_id_again_is_not_enqueued(bus: EventBus) -> None:
    queue = await bus.work_queue("trainer", QUICK)
    enqueued = work()

    await bus.enqueue(enqueued)
    await bus.enqueue(enqueued)

    delivery = await queue.pull(timeout=2)
    assert delivery is not None
    await delivery.ack()
    assert await queue.pull(timeout=0.2) is None


async def test_an_empty_queue_gives_nothing_after_the_timeout(bus: EventBus) -> None:
    queue = await bus.work_queue("trainer", QUICK)
    begun = time.monotonic()

    assert await queue.pull(timeout=0.3) is None

    assert 0.25 < time.monotonic() - begun < 2


async def test_a_worker_that_stopped_waiting_takes_nothing_away(bus: EventBus) -> None:
    queue = await bus.work_queue("trainer", DeliveryPolicy(ack_wait=60))
    waiting = asyncio.create_task(queue.pull(timeout=5))
    await asyncio.sleep(0.2)
    waiting.cancel()
    await asyncio.wait([waiting])

    await bus.enqueue(work())

    delivery = await queue.pull(timeout=2)
    assert delivery is not None
    assert delivery.number == 1


async def test_a_unit_whose_worker_vanished_is_delivered_again_after_ack_wait(bus: EventBus) -> None:
    queue = await bus.work_queue("trainer", QUICK)
    await bus.enqueue(work())
    first = await queue.pull(timeout=2)
    assert first is not None

    assert await queue.pull(timeout=0.3) is None, "the lease still runs"
    second = await queue.pull(timeout=3)

    assert second is not None
    assert (second.work, second.number) == (first.work, 2)


async def test_signs_of_life_keep_the_lease(bus: EventBus) -> None:
    queue = await bus.work_queue("trainer", QUICK)
    await bus.enqueue(work())
    delivery = await queue.pull(timeout=2)
    assert delivery is not None

    for _ in range(9):
        assert await queue.pull(timeout=0.33) is None
        await delivery.in_progress()
    await delivery.ack()

    assert await queue.pull(timeout=1.3) is None


async def test_a_unit_given_back_comes_again_after_the_delay(bus: EventBus) -> None:
    queue = await bus.work_queue("trainer", QUICK)
    await bus.enqueue(work())
    first = await queue.pull(timeout=2)
    assert first is not None
    await first.retry(delay=0.5)
    given_back = time.monotonic()

    second = await queue.pull(timeout=3)

    assert second is not None
    assert second.number == 2
    assert 0.4 < time.monotonic() - given_back < 2


async def test_work_that_kills_its_workers_becomes_a_dead_letter_once(bus: EventBus) -> None:
    dead: list[DeadLetter] = []

    async def remember(letter: DeadLetter) -> None:
        dead.append(letter)

    policy = DeliveryPolicy(ack_wait=0.3, max_deliveries=2)
    queue = await bus.work_queue("trainer", policy)
    await bus.on_dead_letter("trainer", remember)
    poison = work("jobs/año-7")
    await bus.enqueue(poison)

    for number in (1, 2):
        delivery = await queue.pull(timeout=2)
        assert delivery is not None
        assert delivery.number == number
    assert await queue.pull(timeout=1) is None

    await eventually(lambda: bool(dead))
    assert [letter.work for letter in dead] == [poison]
    assert dead[0].deliveries == 2
    assert "delivered 2 times" in dead[0].cause
    await bus.enqueue(work("next"))
    following = await queue.pull(timeout=2)
    assert following is not None
    assert following.work.job_id == "next"
    await following.ack()
    assert await queue.pull(timeout=0.5) is None
    assert len(dead) == 1


async def test_work_given_back_the_last_time_is_a_dead_letter_at_once(bus: EventBus) -> None:
    dead: list[DeadLetter] = []

    async def remember(letter: DeadLetter) -> None:
        dead.append(letter)

    queue = await bus.work_queue("trainer", DeliveryPolicy(max_deliveries=1))
    await bus.on_dead_letter("trainer", remember)
    await bus.enqueue(work())
    delivery = await queue.pull(timeout=2)
    assert delivery is not None

    await delivery.retry(delay=0)

    await eventually(lambda: len(dead) == 1)
    assert await queue.pull(timeout=0.2) is None


async def test_a_dead_letter_waits_for_a_handler_and_is_given_again_to_one_that_fails(bus: EventBus) -> None:
    calls: list[DeadLetter] = []

    async def fail_once(letter: DeadLetter) -> None:
        calls.append(letter)
        if len(calls) == 1:
            raise Unavailable("the database is away")

    queue = await bus.work_queue("trainer", DeliveryPolicy(max_deliveries=1))
    await bus.enqueue(work())
    delivery = await queue.pull(timeout=2)
    assert delivery is not None
    await delivery.retry(delay=0)

    await bus.on_dead_letter("trainer", fail_once)

    await eventually(lambda: len(calls) == 2)
    assert calls[0] == calls[1]


async def test_tail_replays_what_is_retained_and_goes_on_with_what_comes(bus: EventBus) -> None:
    old, other, new = event(), event("fragua.v1.ba.trainer.job.failed"), event()
    await bus.publish(old)
    await bus.publish(other)
    tail = aiter(bus.tail(["fragua.v1.tutor.>"], replay=True))

    async with asyncio.timeout(5):
        assert await anext(tail) == old
        coming = asyncio.ensure_future(anext(tail))
        await bus.publish(new)
        assert await coming == new


async def test_tail_without_replay_begins_now(bus: EventBus) -> None:
    await bus.publish(event())
    coming = asyncio.ensure_future(anext(aiter(bus.tail(["fragua.v1.>"]))))
    await asyncio.sleep(0.3)
    new = event()

    await bus.publish(new)

    async with asyncio.timeout(5):
        assert await coming == new


@pytest.mark.parametrize(
    ("durable", "subjects", "problem"),
    [
        ("with.dot", ["fragua.v1.>"], "durable 'with.dot'"),
        ("reader", [], "name at least one"),
        ("reader", ["fragua.jobs.trainer", "fragua.v1..x"], "'fragua.jobs.trainer'.*; 'fragua.v1..x'"),
        ("reader", ["fragua.v1.>.x"], "fragua.v1.>.x"),
        ("reader", ["fragua.v1.*.trainer.>", "fragua.v1.ba.*.job.failed"], "overlap"),
    ],
)
async def test_names_and_subjects_that_could_not_work_are_refused(
    bus: EventBus, durable: str, subjects: list[str], problem: str
) -> None:
    with pytest.raises(InvalidInput, match=problem):
        await bus.subscribe(durable, subjects, Heard())


async def test_closing_ends_everything_cleanly(bus_url: str) -> None:
    bus = await open_event_bus(bus_url)
    await bus.check()
    await bus.subscribe("reader", ["fragua.v1.>"], Heard())
    await bus.on_dead_letter("trainer", lambda _: asyncio.sleep(0))
    tail = asyncio.ensure_future(anext(aiter(bus.tail(["fragua.v1.>"]))))
    await asyncio.sleep(0.1)
    begun = time.monotonic()

    await bus.close()

    assert time.monotonic() - begun < 2
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(tail, 2)
    for refused in (bus.check(), bus.publish(event()), bus.enqueue(work())):
        with pytest.raises(Unavailable):
            await refused
    leftover = asyncio.all_tasks() - {asyncio.current_task()}
    assert not [task for task in leftover if "fragua" in repr(task.get_coro())]


async def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(InvalidInput, match="use memory://, nats:// or tls://"):
        await open_event_bus("redis://localhost")
