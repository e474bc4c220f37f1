"""The outbox, its relay and the inbox, held against SQLite and PostgreSQL, on a bus that can go away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy.engine import Connection

from fragua.common.v1 import job_events_pb2
from fragua_platform.database import Database
from fragua_platform.errors import InvalidData, Unavailable
from fragua_platform.events.bus import DeliveryPolicy, QueuedWork
from fragua_platform.events.cloudevents import CloudEvent, new_event
from fragua_platform.events.memory import MemoryEventBus
from fragua_platform.events.outbox import Inbox, Outbox, OutboxRelay
from tests.jobs import delete_rows, metadata

OUTBOX = Outbox(metadata.tables["outbox"])
INBOX = Inbox(metadata.tables["inbox"])


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    database = Database(request.getfixturevalue(f"{request.param}_with_tables"))
    database.transact(delete_rows)
    yield database
    await database.close()


class Bus(MemoryEventBus):
    """Remembers what it was given; `away` while its server is, so to speak."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.refused: set[str] = set()
        self.events: list[str] = []
        self.work: list[str] = []

    async def publish(self, event: CloudEvent) -> None:
        if self.away:
            raise Unavailable("no connection")
        if event.id in self.refused:
            raise InvalidData("not an event")
        self.events.append(event.id)

    async def enqueue(self, work: QueuedWork) -> None:
        if self.away:
            raise Unavailable("no connection")
        self.work.append(work.message_id)


def event() -> CloudEvent:
    return new_event("tutor", "counting", "job", "queued", job_events_pb2.JobStateChanged(job="señal"))


@asynccontextmanager
async def relaying(database: Database, bus: MemoryEventBus) -> AsyncIterator[None]:
    task = asyncio.create_task(OutboxRelay(database, OUTBOX, bus, "counting").run())
    yield
    task.cancel()
    await asyncio.wait({task})


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


def add(database: Database, *events: CloudEvent) -> list[str]:
    for one in events:
        database.transact(partial(OUTBOX.add_event, event=one))
    return [one.id for one in events]


async def test_an_event_goes_out_as_it_was_written(database: Database) -> None:
    bus, told = MemoryEventBus(), event()
    heard: list[CloudEvent] = []

    async def hear(one: CloudEvent) -> None:
        heard.append(one)

    await bus.subscribe("counting-tests", ["fragua.v1.>"], hear)
    add(database, told)
    async with relaying(database, bus):
        await eventually(lambda: bool(heard))

    assert heard == [told]
    await bus.close()


async def test_messages_go_out_in_order_and_once(database: Database) -> None:
    bus = Bus()
    ids = add(database, *(event() for _ in range(120)))

    async with relaying(database, bus):
        await eventually(lambda: len(bus.events) >= len(ids))
    async with relaying(database, bus):  # as after a restart
        await asyncio.sleep(0.3)

    assert bus.events == ids


async def test_after_an_outage_everything_goes_out_in_order(database: Database) -> None:
    bus = Bus()
    async with relaying(database, bus):
        before = add(database, event())
        await eventually(lambda: bus.events == before)
        bus.away = True
        meanwhile = add(database, event(), event())
        await asyncio.sleep(0.3)
        bus.away = False
        await eventually(lambda: len(bus.events) >= 3)

    assert bus.events == before + meanwhile


async def test_what_is_rolled_back_never_goes_out(database: Database) -> None:
    bus = Bus()

    def write_and_break(connection: Connection) -> None:
        OUTBOX.add_event(connection, event())
        raise RuntimeError("the power went out")

    with pytest.raises(RuntimeError):
        database.transact(write_and_break)
    ids = add(database, event())
    async with relaying(database, bus):
        await eventually(lambda: bool(bus.events))

    assert bus.events == ids


async def test_a_message_that_the_bus_refuses_for_good_holds_up_nobody(database: Database) -> None:
    bus = Bus()
    poison, *others = add(database, event(), event(), event())
    bus.refused.add(poison)

    async with relaying(database, bus):
        await eventually(lambda: len(bus.events) == 2)

    assert bus.events == others


async def test_jobs_start_while_an_event_waits_for_those_who_hear_it(database: Database) -> None:
    bus = MemoryEventBus()
    hearing = asyncio.Event()

    async def take_long(_event: CloudEvent) -> None:
        hearing.set()
        await asyncio.sleep(30)

    await bus.subscribe("counting-tests", ["fragua.v1.>"], take_long)
    add(database, event())
    work = QueuedWork("counting", "job-1", "counting:job-1:1")
    async with relaying(database, bus), asyncio.timeout(10):
        await hearing.wait()
        database.transact(lambda connection: OUTBOX.add_work(connection, work))
        delivery = await (await bus.work_queue("counting", DeliveryPolicy())).pull(5)

    assert delivery is not None
    assert delivery.work == work


async def test_sent_messages_are_forgotten_after_a_while_and_others_never(database: Database) -> None:
    sent, unsent = event(), event()
    add(database, sent, unsent)
    first, _ = database.transact(lambda c: OUTBOX.pending(c, "event"))
    database.transact(lambda c: OUTBOX.mark_sent(c, first.position))

    database.transact(lambda c: OUTBOX.forget_sent(c, datetime.now(UTC) + timedelta(seconds=1)))

    assert database.transact(lambda c: [row.message_id for row in c.execute(OUTBOX.table.select())]) == [unsent.id]


def test_an_event_counts_once_for_each_consumer(database: Database) -> None:
    answers = [
        database.transact(partial(INBOX.first_time, consumer=name, event_id="event-1"))
        for name in ("scores", "scores", "evaluations")
    ]

    assert answers == [True, False, True]


def test_of_deliveries_at_once_one_has_the_effect(database: Database) -> None:
    with ThreadPoolExecutor(8) as consumers:
        answers = list(
            consumers.map(lambda _: database.transact(lambda c: INBOX.first_time(c, "scores", "event-1")), range(8))
        )

    assert sorted(answers) == [False] * 7 + [True]


def test_an_event_whose_effects_were_rolled_back_counts_as_new(database: Database) -> None:
    def handle_and_break(connection: Connection) -> None:
        assert INBOX.first_time(connection, "scores", "event-1")
        raise RuntimeError("the power went out")

    with pytest.raises(RuntimeError):
        database.transact(handle_and_break)

    assert database.transact(lambda c: INBOX.first_time(c, "scores", "event-1"))


def test_handled_events_are_forgotten_after_a_while(database: Database) -> None:
    database.transact(lambda c: INBOX.first_time(c, "scores", "event-1"))

    database.transact(lambda c: INBOX.forget_handled(c, datetime.now(UTC) + timedelta(seconds=1)))

    assert database.transact(lambda c: INBOX.first_time(c, "scores", "event-1"))
