"""The event bus on NATS JetStream: one stream of facts, one of work, one of dead letters; all state is the server's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Self

import nats.errors
import structlog
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NoStreamResponseError

from fragua_platform.errors import FraguaError, InvalidData, Unavailable
from fragua_platform.events.bus import (
    DEAD_STREAM,
    EVENTS_STREAM,
    JOBS_STREAM,
    DeadLetterHandler,
    DeliveryPolicy,
    EventHandler,
    QueuedWork,
    Subscription,
    WorkQueue,
)
from fragua_platform.events.cloudevents import SUBJECT_ROOT, CloudEvent, event_from_wire
from fragua_platform.events.nats_connection import Connection, connect, nats_errors, server_version
from fragua_platform.events.nats_consumer import LONGEST_REQUEST, Consumption, PullConsumer
from fragua_platform.events.nats_topology import declare_streams, durable_consumer, require_version
from fragua_platform.events.nats_work import NatsWorkQueue, bury, dead_letter_from, message_of
from fragua_platform.events.subjects import (
    DEAD_ROOT,
    dead_event_subject,
    dead_work_subject,
    require_name,
    require_patterns,
    watched_root,
    work_subject,
)

WATCHER_FORGOTTEN_SECONDS = 60.0
DEAD_LETTER_POLICY = DeliveryPolicy(ack_wait=60.0)

log = structlog.get_logger(__name__)


class NatsEventBus:
    """Reconnects for ever; meanwhile publishing raises `Unavailable` and pulling waits."""

    remembers_work = True

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._client = connection.client
        self._jetstream = connection.jetstream
        self._subscriptions: list[Consumption] = []

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        user: str | None = None,
        password: str | None = None,
        token: str | None = None,
        name: str = "fragua",
    ) -> Self:
        """`url` is one address or several with commas between: `nats://[user:password@]host:port`, or `tls://…`.

        Raises `Unavailable` when no server answers, `FailedPrecondition` when it cannot do what Fragua needs.
        """
        connection = await connect(url, user=user, password=password, token=token, name=name)
        try:
            require_version(server_version(connection.client))
            bus = cls(connection)
            await bus.check()
            with nats_errors("declaring the streams"):
                await declare_streams(bus._jetstream)
        except BaseException:
            await connection.client.close()
            raise
        return bus

    async def publish(self, event: CloudEvent) -> None:
        await self._store(EVENTS_STREAM, event.subject, event.body, event.headers() | {"Nats-Msg-Id": event.id})

    async def subscribe(
        self, durable: str, subjects: Sequence[str], handler: EventHandler, policy: DeliveryPolicy | None = None
    ) -> Subscription:
        patterns = require_patterns(subjects, SUBJECT_ROOT)
        policy = policy or DeliveryPolicy()
        config = durable_consumer(require_name("durable", durable), patterns, policy)

        async def handle(message: Msg) -> None:
            number = message.metadata.num_delivered
            try:
                event = event_from_wire(message.headers or {}, message.data)
            except InvalidData as broken:
                await give_up(message, number, str(broken))
                return
            if number > policy.max_deliveries:
                await give_up(message, number - 1, "the handler never ended within ack_wait, or its process was killed")
                return
            try:
                await handler(event)
            except Exception as failure:
                cause = f"{type(failure).__name__}: {failure}"
                log.warning("event_handler_failed", event_id=event.id, durable=durable, delivery=number, cause=cause)
                if number >= policy.max_deliveries:
                    await give_up(message, number, cause)
                else:
                    await message.nak(policy.delay_after(number))
            else:
                await message.ack()

        async def give_up(message: Msg, deliveries: int, cause: str) -> None:
            await bury(self._jetstream, message, dead_event_subject(durable), deliveries, cause)

        return await self._consume(EVENTS_STREAM, config, handle)

    async def tail(self, subjects: Sequence[str], *, replay: bool = False) -> AsyncIterator[CloudEvent]:
        root = watched_root(subjects)
        patterns = require_patterns(subjects, root)
        consumer = PullConsumer(
            self._connection,
            DEAD_STREAM if root == DEAD_ROOT else EVENTS_STREAM,
            ConsumerConfig(
                name=f"tail-{self._client.new_inbox().rpartition('.')[2]}",
                filter_subjects=patterns,
                ack_policy=AckPolicy.NONE,
                deliver_policy=DeliverPolicy.ALL if replay else DeliverPolicy.NEW,
                inactive_threshold=WATCHER_FORGOTTEN_SECONDS,
                mem_storage=True,
                num_replicas=1,
            ),
        )
        with nats_errors("watching events"):
            await consumer.declare()
        try:
            while True:
                try:
                    message = await consumer.next(LONGEST_REQUEST)
                except Unavailable:
                    return  # this bus was closed
                if message is None:
                    continue
                # A consumer in memory is gone after the server's restart; its successor goes on from here.
                consumer.config = consumer.config.evolve(
                    deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=message.metadata.sequence.stream + 1
                )
                try:
                    event = event_from_wire(message.headers or {}, message.data)
                except InvalidData:
                    continue  # a dead letter that is no event
                yield event
        finally:
            await consumer.delete()

    async def enqueue(self, work: QueuedWork) -> None:
        require_name("queue", work.queue)
        body, headers = message_of(work)
        await self._store(JOBS_STREAM, work_subject(work.queue), body, headers)

    async def work_queue(self, queue: str, policy: DeliveryPolicy) -> WorkQueue:
        config = durable_consumer(require_name("queue", queue), [work_subject(queue)], policy)
        consumer = PullConsumer(self._connection, JOBS_STREAM, config)
        with nats_errors(f"declaring the work queue {queue}"):
            await consumer.declare()
        return NatsWorkQueue(queue, policy, consumer, self._jetstream)

    async def on_dead_letter(self, queue: str, handler: DeadLetterHandler) -> Subscription:
        async def handle(message: Msg) -> None:
            try:
                dead = dead_letter_from(queue, message)
            except InvalidData as broken:
                log.error("dead_letter_unreadable", queue=queue, cause=str(broken))
                await message.ack()
                return
            try:
                await handler(dead)
            except Exception:  # whatever it is: the letter is offered again
                log.exception("dead_letter_handler_failed", queue=queue, job_id=dead.work.job_id)
                await message.nak(DEAD_LETTER_POLICY.delay_after(message.metadata.num_delivered))
            else:
                await message.ack()

        config = durable_consumer(
            f"dead-{require_name('queue', queue)}", [dead_work_subject(queue)], DEAD_LETTER_POLICY
        )
        return await self._consume(DEAD_STREAM, config, handle)

    async def check(self) -> None:
        if not self._client.is_connected:
            raise Unavailable("no connection to NATS")
        with nats_errors("asking JetStream for its state (does the server run with --jetstream?)"):
            await self._jetstream.account_info()

    async def close(self) -> None:
        await asyncio.gather(*(subscription.stop() for subscription in self._subscriptions))
        if self._client.is_connected:
            with suppress(nats.errors.Error):
                await self._client.flush()
        await self._client.close()

    async def _store(self, stream: str, subject: str, body: bytes, headers: dict[str, str]) -> None:
        """Publish and wait until the stream has it; the id in the headers makes a repetition harmless."""
        if not self._client.is_connected:
            raise Unavailable(f"no connection to NATS; nothing was published on {subject}")
        try:
            with nats_errors(f"publishing on {subject}"):
                await self._jetstream.publish(subject, body, headers=headers, stream=stream)
        except Unavailable as unavailable:
            if isinstance(unavailable.__cause__, NoStreamResponseError):
                await self._restore_streams()
            raise

    async def _restore_streams(self) -> None:
        """The server may have come back without its data; the caller tries again later."""
        try:
            await declare_streams(self._jetstream)
        except (FraguaError, nats.errors.Error) as trouble:
            log.warning("streams_not_restored", cause=str(trouble))

    async def _consume(
        self, stream: str, config: ConsumerConfig, handle: Callable[[Msg], Awaitable[None]]
    ) -> Subscription:
        consumer = PullConsumer(self._connection, stream, config)
        with nats_errors(f"declaring the consumer {config.name}"):
            await consumer.declare()
        subscription = Consumption(consumer, handle)
        self._subscriptions.append(subscription)
        return subscription
