"""The event bus of one process, for `fragua up` and for tests.

Nothing here outlives the process, and nothing has to. Events are durable in their publisher's outbox, whose relay marks
an event sent only after `publish` returned, and `publish` returns after every subscription whose subjects match has
handled the event or given up on it. So a process that is killed midway publishes it again. Units of work are rows of
the job table, which is put back on the queue at start.

Two consequences: `bootstrap` subscribes before it starts the relay, since an event finds only the subscriptions that
exist when it is published; and an event whose durable name nobody is listening to any more holds up its publisher.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from fragua_platform.errors import Unavailable
from fragua_platform.events.bus import (
    DeadLetterHandler,
    DeliveryPolicy,
    EventHandler,
    QueuedWork,
    Subscription,
    WorkQueue,
)
from fragua_platform.events.cloudevents import SUBJECT_ROOT, CloudEvent
from fragua_platform.events.memory_queue import DeadLetterSubscription, MemoryQueue, MemoryWorkQueue
from fragua_platform.events.subjects import dead_event_subject, matches, require_name, require_patterns, watched_root

DUPLICATE_WINDOW = 120.0
RETAINED_EVENTS = 1000

log = structlog.get_logger(__name__)


class MemoryEventBus:
    remembers_work = False

    def __init__(self) -> None:
        self._durables: dict[str, _Durable] = {}
        self._deliveries: dict[tuple[str, str], _EventDelivery] = {}
        self._queues: dict[str, MemoryQueue] = {}
        self._seen: dict[str, float] = {}
        self._recent: deque[tuple[str, CloudEvent]] = deque(maxlen=RETAINED_EVENTS)
        self._watchers: set[_Watcher] = set()
        self._subscriptions: list[Subscription] = []
        self._closing = asyncio.Event()

    async def publish(self, event: CloudEvent) -> None:
        await self.check()
        if self._is_new(f"event {event.id}"):
            self._show(event.subject, event)
        hearing = [durable for durable in self._durables.values() if durable.hears(event.subject)]
        deliveries = [self._delivery(event, durable) for durable in hearing]
        # A delivery belongs to the bus: it goes on when this publisher is cancelled, and the next one joins it.
        await asyncio.gather(*(asyncio.shield(delivery) for delivery in deliveries))

    async def subscribe(
        self, durable: str, subjects: Sequence[str], handler: EventHandler, policy: DeliveryPolicy | None = None
    ) -> Subscription:
        await self.check()
        patterns = require_patterns(subjects, SUBJECT_ROOT)
        known = self._durables.setdefault(require_name("durable", durable), _Durable(durable, self._closing))
        known.subjects, known.policy = patterns, policy or DeliveryPolicy()
        subscription = _EventSubscription(known, handler)
        known.listeners.append(subscription)
        await known.announce_change()
        self._subscriptions.append(subscription)
        return subscription

    async def tail(self, subjects: Sequence[str], *, replay: bool = False) -> AsyncIterator[CloudEvent]:
        await self.check()
        watcher = _Watcher(require_patterns(subjects, watched_root(subjects)))
        if replay:
            for subject, event in self._recent:
                watcher.show(subject, event)
        self._watchers.add(watcher)
        try:
            while (event_or_end := await watcher.events.get()) is not None:
                yield event_or_end
        finally:
            self._watchers.discard(watcher)

    async def enqueue(self, work: QueuedWork) -> None:
        await self.check()
        queue = self._queue(work.queue)
        if self._is_new(f"work {work.message_id}"):
            await queue.put(work)

    async def work_queue(self, queue: str, policy: DeliveryPolicy) -> WorkQueue:
        await self.check()
        return MemoryWorkQueue(self._queue(queue), policy)

    async def on_dead_letter(self, queue: str, handler: DeadLetterHandler) -> Subscription:
        await self.check()
        subscription = DeadLetterSubscription(self._queue(queue), handler)
        self._subscriptions.append(subscription)
        return subscription

    async def check(self) -> None:
        if self._closing.is_set():
            raise Unavailable("the in-process event bus is closed")

    async def close(self) -> None:
        self._closing.set()
        for durable in self._durables.values():
            await durable.announce_change()
        for watcher in self._watchers:
            watcher.end()
        for queue in self._queues.values():
            await queue.close()
        await asyncio.gather(*(subscription.stop() for subscription in self._subscriptions))
        await asyncio.gather(*(delivery.task for delivery in self._deliveries.values()), return_exceptions=True)

    def _queue(self, name: str) -> MemoryQueue:
        return self._queues.setdefault(require_name("queue", name), MemoryQueue())

    def _is_new(self, message_id: str) -> bool:
        now = time.monotonic()
        for known, at in list(self._seen.items()):  # oldest first
            if now - at < DUPLICATE_WINDOW:
                break
            del self._seen[known]
        new = message_id not in self._seen
        if new:
            self._seen[message_id] = now
        return new

    def _delivery(self, event: CloudEvent, durable: _Durable) -> asyncio.Task[None]:
        now = time.monotonic()
        for key, known in list(self._deliveries.items()):
            if now - known.started < DUPLICATE_WINDOW:
                break
            if known.task.done():
                del self._deliveries[key]
        key = (event.id, durable.name)
        delivery = self._deliveries.get(key)
        if delivery is None:
            delivery = _EventDelivery(asyncio.create_task(self._deliver(event, durable)), now)
            self._deliveries[key] = delivery
        return delivery.task

    async def _deliver(self, event: CloudEvent, durable: _Durable) -> None:
        if cause := await durable.handle(event):
            log.error("event_is_dead", event_id=event.id, subject=event.subject, durable=durable.name, cause=cause)
            self._show(dead_event_subject(durable.name), event)

    def _show(self, subject: str, event: CloudEvent) -> None:
        self._recent.append((subject, event))
        for watcher in self._watchers:
            watcher.show(subject, event)


@dataclass
class _EventDelivery:
    task: asyncio.Task[None]
    started: float


@dataclass
class _Durable:
    """A name under which events are handled; it stays when nobody listens."""

    name: str
    closing: asyncio.Event
    subjects: Sequence[str] = ()
    policy: DeliveryPolicy = field(default_factory=DeliveryPolicy)
    listeners: list[_EventSubscription] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def announce_change(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    def hears(self, subject: str) -> bool:
        return any(matches(pattern, subject) for pattern in self.subjects)

    async def handle(self, event: CloudEvent) -> str | None:
        """The cause when it gave up on the event; None when it was handled."""
        number = 0
        while True:
            number += 1
            listener = await self._somebody_listening()
            try:
                await listener.handle(event)
                return None
            except Exception as failure:
                cause = f"{type(failure).__name__}: {failure}"
                log.warning("event_handler_failed", event_id=event.id, durable=self.name, delivery=number, cause=cause)
            if number >= self.policy.max_deliveries:
                return cause
            # Cut short by closing, which the next look for a listener then reports.
            with suppress(TimeoutError):
                await asyncio.wait_for(self.closing.wait(), self.policy.delay_after(number))

    async def _somebody_listening(self) -> _EventSubscription:
        async with self.changed:
            await self.changed.wait_for(lambda: self.listeners or self.closing.is_set())
        if self.closing.is_set():
            raise Unavailable(f"the in-process event bus was closed before {self.name!r} handled the event")
        return self.listeners[0]


class _EventSubscription:
    def __init__(self, durable: _Durable, handler: EventHandler) -> None:
        self._durable = durable
        self._handler = handler
        self._in_hand = 0

    async def handle(self, event: CloudEvent) -> None:
        self._in_hand += 1
        try:
            await self._handler(event)
        finally:
            self._in_hand -= 1
            await self._durable.announce_change()

    async def stop(self) -> None:
        if self in self._durable.listeners:
            self._durable.listeners.remove(self)
        async with self._durable.changed:
            self._durable.changed.notify_all()
            await self._durable.changed.wait_for(lambda: self._in_hand == 0)


class _Watcher:
    """One reader of `tail`; when it is slow it misses the oldest events rather than fill the memory."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = patterns
        self.events: asyncio.Queue[CloudEvent | None] = asyncio.Queue(RETAINED_EVENTS)

    def show(self, subject: str, event: CloudEvent) -> None:
        if any(matches(pattern, subject) for pattern in self._patterns):
            self._put(event)

    def end(self) -> None:
        self._put(None)

    def _put(self, event_or_end: CloudEvent | None) -> None:
        if self.events.full():
            self.events.get_nowait()
        self.events.put_nowait(event_or_end)
