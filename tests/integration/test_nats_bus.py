"""The event bus on a real NATS server: crashes, old servers, foreign configuration, messages that are not ours."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from uuid import uuid4

import nats
import pytest
from nats.aio.client import Client
from nats.js.api import ConsumerConfig, RetentionPolicy, StorageType, StreamConfig

from fragua_platform.errors import FailedPrecondition, FraguaError, LimitExceeded, Unavailable
from fragua_platform.events import nats_connection
from fragua_platform.events.bus import (
    DEAD_STREAM,
    EVENTS_STREAM,
    JOBS_STREAM,
    DeadLetter,
    DeliveryPolicy,
    QueuedWork,
)
from fragua_platform.events.cloudevents import CloudEvent
from fragua_platform.events.nats import NatsEventBus
from fragua_platform.events.nats_topology import EVENTS, require_version
from tests.servers import NatsServer

PASSWORD = "señal/99%@x"
QUICK = DeliveryPolicy(ack_wait=1.0, max_deliveries=3, backoff=(0.05,))


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[NatsEventBus]:
    bus = await NatsEventBus.connect(url, name="integration tests")
    try:
        yield bus
    finally:
        await bus.close()


@asynccontextmanager
async def raw_connection(url: str) -> AsyncIterator[Client]:
    client = await nats.connect(url)
    try:
        yield client
    finally:
        await client.close()


def event(body: bytes = b"{}") -> CloudEvent:
    return CloudEvent(
        id=str(uuid4()),
        subject="fragua.v1.tutor.trainer.job.succeeded",
        source="/fragua/trainer",
        type="fragua.common.v1.JobStateChanged",
        time=datetime.now(UTC),
        body=body,
    )


def work(job_id: str) -> QueuedWork:
    return QueuedWork("trainer", job_id, message_id=str(uuid4()))


async def eventually(condition: Callable[[], bool], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def until_stored(store: Callable[[], Awaitable[None]]) -> None:
    """As the outbox relay does it: again, until the bus says that it has it."""
    while True:
        try:
            await store()
        except Unavailable:
            await asyncio.sleep(0.1)
        else:
            return


async def test_everything_arrives_although_the_server_is_killed_in_the_midst(
    nats_url: str, nats_server: NatsServer
) -> None:
    heard: set[str] = set()
    done: set[str] = set()
    stopping = asyncio.Event()

    async def hear(event: CloudEvent) -> None:
        heard.add(event.id)

    async def worker(bus: NatsEventBus) -> None:
        queue = await bus.work_queue("trainer", QUICK)
        while not stopping.is_set():
            if delivery := await queue.pull(timeout=0.5):
                done.add(delivery.work.job_id)
                with suppress(Unavailable):  # the killed server forgot this delivery: it comes again
                    await delivery.ack()

    events = [event() for _ in range(60)]
    jobs = [work(f"job-{number}") for number in range(60)]
    async with connected(nats_url) as publisher, connected(nats_url) as consumer:
        await consumer.subscribe("reader", ["fragua.v1.>"], hear, QUICK)
        working = asyncio.create_task(worker(consumer))
        for number, (fact, job) in enumerate(zip(events, jobs, strict=True)):
            if number == 30:
                nats_server.kill()
                asyncio.get_running_loop().call_later(0.5, nats_server.start)
            await until_stored(partial(publisher.publish, fact))
            await until_stored(partial(publisher.enqueue, job))

        await eventually(lambda: len(heard) == 60 and len(done) == 60)
        stopping.set()
        await working

    assert heard == {fact.id for fact in events}
    assert done == {job.job_id for job in jobs}


async def test_while_the_server_is_away_publishing_fails_at_once_and_pulling_waits(
    nats_url: str, nats_server: NatsServer
) -> None:
    async with connected(nats_url) as bus:
        queue = await bus.work_queue("trainer", QUICK)
        nats_server.kill()
        try:
            await asyncio.sleep(0.1)
            begun = time.monotonic()
            with pytest.raises(Unavailable, match="no connection to NATS"):
                await bus.publish(event())
            with pytest.raises(Unavailable):
                await bus.check()
            assert time.monotonic() - begun < 0.5
            assert await queue.pull(timeout=0.6) is None
            assert time.monotonic() - begun > 0.5
        finally:
            nats_server.start()
        await until_stored(lambda: bus.enqueue(work("after")))
        assert await queue.pull(timeout=5) is not None


async def test_a_server_that_lost_its_data_is_set_up_again(nats_url: str, nats_server: NatsServer) -> None:
    heard: list[CloudEvent] = []

    async def hear(event: CloudEvent) -> None:
        heard.append(event)

    async with connected(nats_url) as bus:
        await bus.subscribe("reader", ["fragua.v1.>"], hear)
        nats_server.clear()
        fact = event()

        await until_stored(lambda: bus.publish(fact))

        await eventually(lambda: heard == [fact])


async def test_tail_goes_on_where_it_was_when_the_server_was_killed(nats_url: str, nats_server: NatsServer) -> None:
    before, after = event(), event()
    async with connected(nats_url) as bus, asyncio.timeout(20):
        await bus.publish(before)
        tail = aiter(bus.tail(["fragua.v1.>"], replay=True))
        assert await anext(tail) == before
        coming = asyncio.ensure_future(anext(tail))
        await asyncio.sleep(0.1)
        nats_server.kill()
        nats_server.start()

        await until_stored(partial(bus.publish, after))

        assert await coming == after


async def test_work_that_died_while_nobody_listened_is_told_after_the_server_was_killed(
    nats_url: str, nats_server: NatsServer
) -> None:
    dead: list[DeadLetter] = []

    async def remember(letter: DeadLetter) -> None:
        dead.append(letter)

    poison = work("poison")
    async with connected(nats_url) as bus:
        queue = await bus.work_queue("trainer", DeliveryPolicy(ack_wait=0.2, max_deliveries=1))
        await bus.enqueue(poison)
        assert await queue.pull(timeout=2) is not None
        assert await queue.pull(timeout=0.6) is None
    nats_server.kill()
    nats_server.start()

    async with connected(nats_url) as bus, raw_connection(nats_url) as client:
        await bus.on_dead_letter("trainer", remember)
        await eventually(lambda: bool(dead))
        assert (await client.jetstream().stream_info(JOBS_STREAM)).state.messages == 0

    assert dead == [DeadLetter(poison, deliveries=1, cause="delivered 1 times and never acknowledged")]


async def test_an_event_whose_handler_never_ends_goes_to_the_dead_letters_by_another_process(nats_url: str) -> None:
    hanging = asyncio.Event()

    async def hang(_: CloudEvent) -> None:
        await hanging.wait()

    fact = event()
    policy = DeliveryPolicy(ack_wait=0.3, max_deliveries=1)
    async with connected(nats_url) as stuck, connected(nats_url) as healthy:
        await stuck.subscribe("reader", ["fragua.v1.>"], hang, policy)
        await healthy.publish(fact)
        await asyncio.sleep(0.2)
        await healthy.subscribe("reader", ["fragua.v1.>"], hang, policy)

        async with asyncio.timeout(5):
            assert await anext(aiter(healthy.tail(["fragua.dead.events.reader"], replay=True))) == fact
        hanging.set()


async def test_messages_that_are_no_events_go_to_the_dead_letters_at_once(nats_url: str) -> None:
    heard: list[CloudEvent] = []

    async def hear(event: CloudEvent) -> None:
        heard.append(event)

    async with connected(nats_url) as bus, raw_connection(nats_url) as client:
        jetstream = client.jetstream()
        await bus.subscribe("reader", ["fragua.v1.>"], hear)
        await jetstream.publish("fragua.v1.tutor.trainer.job.succeeded", b"hola", headers={"ce-id": "1"})
        fact = event()
        await bus.publish(fact)

        await eventually(lambda: heard == [fact])
        dead = await jetstream.get_last_msg(DEAD_STREAM, "fragua.dead.events.reader")
        assert dead.data == b"hola"
        assert dead.headers is not None
        assert "no header ce-specversion" in dead.headers["Fragua-Dead-Cause"]


async def test_messages_that_are_no_work_are_not_given_to_workers(nats_url: str) -> None:
    async with connected(nats_url) as bus, raw_connection(nats_url) as client:
        queue = await bus.work_queue("trainer", QUICK)
        await client.jetstream().publish("fragua.jobs.trainer", b"\xff")
        await bus.enqueue(work("good"))

        delivery = await queue.pull(timeout=2)

        assert delivery is not None
        assert delivery.work.job_id == "good"
        assert (await client.jetstream().stream_info(DEAD_STREAM)).state.messages == 1


async def test_processes_that_start_together_agree_on_the_streams(nats_url: str) -> None:
    async def hear(_: CloudEvent) -> None: ...

    buses = await asyncio.gather(*(NatsEventBus.connect(nats_url) for _ in range(8)))
    await asyncio.gather(*(bus.subscribe("reader", ["fragua.v1.>"], hear) for bus in buses))
    await asyncio.gather(*(bus.work_queue("trainer", QUICK) for bus in buses))

    async with raw_connection(nats_url) as client:
        streams = {info.config.name: info.state.consumer_count for info in await client.jetstream().streams_info()}
    assert streams == {EVENTS_STREAM: 1, JOBS_STREAM: 1, DEAD_STREAM: 0}
    await asyncio.gather(*(bus.close() for bus in buses))


async def test_configuration_that_drifted_is_corrected_and_the_operators_sizes_stay(nats_url: str) -> None:
    async def hear(_: CloudEvent) -> None: ...

    async with raw_connection(nats_url) as client:
        jetstream = client.jetstream()
        await jetstream.add_stream(
            StreamConfig(name=EVENTS_STREAM, subjects=["fragua.v0.>"], max_age=60, max_bytes=7 * 2**20)
        )
        await jetstream.add_consumer(
            EVENTS_STREAM,
            ConsumerConfig(name="reader", durable_name="reader", ack_wait=7, max_deliver=3, backoff=[7, 8]),
        )

        async with connected(nats_url) as bus:
            await bus.subscribe("reader", ["fragua.v1.tutor.>", "fragua.v1.ba.>"], hear, QUICK)

            stream = (await jetstream.stream_info(EVENTS_STREAM)).config
            assert (stream.subjects, stream.max_age) == (["fragua.v1.>"], EVENTS.max_age)
            assert stream.duplicate_window == 120
            assert stream.max_bytes == 7 * 2**20
            consumer = (await jetstream.consumer_info(EVENTS_STREAM, "reader")).config
            assert consumer.filter_subjects == ["fragua.v1.tutor.>", "fragua.v1.ba.>"]
            assert (consumer.ack_wait, consumer.max_deliver, consumer.backoff) == (1.0, -1, None)


async def test_a_stream_that_cannot_be_corrected_is_refused_with_the_way_out(nats_url: str) -> None:
    async with raw_connection(nats_url) as client:
        await client.jetstream().add_stream(
            StreamConfig(
                name=JOBS_STREAM,
                subjects=["fragua.jobs.*"],
                retention=RetentionPolicy.INTEREST,
                storage=StorageType.MEMORY,
            )
        )

    with pytest.raises(FailedPrecondition, match=r"retention is 'interest'.*nats stream rm"):
        await NatsEventBus.connect(nats_url)


async def test_an_event_larger_than_the_server_takes_is_a_permanent_error(nats_url: str) -> None:
    async with connected(nats_url) as bus:
        with pytest.raises(LimitExceeded, match="max_payload"):
            await bus.publish(event(body=b"x" * (2**20 + 1)))


@pytest.mark.parametrize("version", ["2.9.10", "1.4.1", "", "banana"])
def test_versions_before_2_10_are_refused(version: str) -> None:
    with pytest.raises(FailedPrecondition, match=r"needs 2\.10 or newer"):
        require_version(version)


@pytest.mark.parametrize("version", ["2.10.0", "2.10.27", "2.12.1", "3.0.0"])
def test_versions_from_2_10_on_are_taken(version: str) -> None:
    require_version(version)


async def test_connecting_to_an_old_server_says_what_to_install() -> None:
    async def old_server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greeting = {"server_id": "old", "version": "2.9.10", "max_payload": 2**20, "headers": True, "jetstream": True}
        writer.write(b"INFO " + json.dumps(greeting).encode() + b"\r\n")
        while line := await reader.readline():
            if line.startswith(b"PING"):
                writer.write(b"PONG\r\n")
        writer.close()

    async with await asyncio.start_server(old_server, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(FailedPrecondition, match=r"version 2\.9\.10; .* Install nats-server 2\.10") as refused:
            await NatsEventBus.connect(f"nats://127.0.0.1:{port}")
    assert refused.value.reason == "NATS_SERVER_TOO_OLD"


class LockedServer(NatsServer):
    def command(self) -> list[str]:
        return [*super().command(), "--user", "fragua", "--pass", PASSWORD]


class ServerWithoutJetStream(NatsServer):
    def command(self) -> list[str]:
        return [part for part in super().command() if part != "--jetstream"]


async def test_the_password_may_come_in_the_url_and_is_never_told(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_connection, "CONNECT_SECONDS", 1.0)
    with LockedServer() as server:
        async with connected(f"nats://fragua:se%C3%B1al%2F99%25%40x@{server.address}") as bus:
            await bus.check()
        with pytest.raises(Unavailable) as refused:
            await NatsEventBus.connect(f"nats://fragua:guessed-secret@{server.address}")
    assert "guessed-secret" not in str(refused.value)
    assert server.address in str(refused.value)
    assert "Authorization" in str(refused.value)


async def test_a_server_without_jetstream_is_named_as_such(nats_server: NatsServer) -> None:
    with ServerWithoutJetStream() as server, pytest.raises(FraguaError, match="--jetstream"):
        await NatsEventBus.connect(server.url)


async def test_nobody_answering_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nats_connection, "CONNECT_SECONDS", 0.5)
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1 is not to be had"):
        await NatsEventBus.connect("nats://127.0.0.1:1")
