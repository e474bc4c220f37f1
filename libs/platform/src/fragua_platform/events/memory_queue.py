"""The work queues of the in-process event bus: each unit has one time at which it may be given out again."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

import structlog

from fragua_platform.errors import Unavailable
from fragua_platform.events.bus import DeadLetter, DeadLetterHandler, Delivery, DeliveryPolicy, QueuedWork

HANDLER_BACKOFF = (1.0, 5.0, 30.0)

log = structlog.get_logger(__name__)


@dataclass(eq=False)
class _Unit:
    work: QueuedWork
    due: float
    """When it may be given out: its arrival, the end of a lease or the end of a retry's delay."""
    deliveries: int = 0


class MemoryQueue:
    """What is waiting under one queue's name, leased or not, and its dead letters that no handler has taken yet."""

    def __init__(self) -> None:
        self._units: list[_Unit] = []
        self._dead: deque[DeadLetter] = deque()
        self._changed = asyncio.Condition()
        self._closed = False

    async def put(self, work: QueuedWork) -> None:
        async with self._changed:
            self._units.append(_Unit(work, due=time.monotonic()))
            self._changed.notify_all()

    async def take(self, wait: float, policy: DeliveryPolicy) -> _Unit | None:
        """Lease the unit that has been due for longest."""
        deadline = time.monotonic() + wait
        async with self._changed:
            while not self._closed:
                now = time.monotonic()
                first = min(self._units, key=lambda unit: unit.due, default=None)
                if first is not None and first.due <= now:
                    if first.deliveries >= policy.max_deliveries:
                        self._bury(first, f"delivered {first.deliveries} times and never acknowledged")
                        continue
                    first.deliveries += 1
                    first.due = now + policy.ack_wait
                    return first
                if now >= deadline:
                    return None
                next_look = deadline if first is None else min(deadline, first.due)
                with suppress(TimeoutError):
                    # Not wait_for, which on Python 3.11 may swallow the cancellation of a worker that stops waiting:
                    # the unit would be leased to nobody.
                    async with asyncio.timeout(next_look - now):
                        await self._changed.wait()
        return None

    async def reschedule(self, unit: _Unit, delay: float) -> None:
        async with self._changed:
            unit.due = time.monotonic() + delay
            self._changed.notify_all()

    async def remove(self, unit: _Unit) -> None:
        async with self._changed:
            if unit in self._units:
                self._units.remove(unit)

    async def bury(self, unit: _Unit, cause: str) -> None:
        async with self._changed:
            if unit in self._units:
                self._bury(unit, cause)

    async def next_dead(self) -> DeadLetter:
        async with self._changed:
            await self._changed.wait_for(lambda: self._dead)
            return self._dead.popleft()

    async def put_back(self, dead: DeadLetter) -> None:
        async with self._changed:
            self._dead.appendleft(dead)
            self._changed.notify_all()

    async def close(self) -> None:
        """Let waiting workers go."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()

    def require_open(self) -> None:
        if self._closed:
            raise Unavailable("the in-process event bus is closed")

    def _bury(self, unit: _Unit, cause: str) -> None:
        self._units.remove(unit)
        self._dead.append(DeadLetter(unit.work, unit.deliveries, cause))
        self._changed.notify_all()
        log.error("work_is_dead", queue=unit.work.queue, job_id=unit.work.job_id, cause=cause)


class MemoryWorkQueue:
    def __init__(self, queue: MemoryQueue, policy: DeliveryPolicy) -> None:
        self._queue = queue
        self._policy = policy

    async def pull(self, timeout: float) -> Delivery | None:  # noqa: ASYNC109 - the port says why
        unit = await self._queue.take(timeout, self._policy)
        return None if unit is None else _MemoryDelivery(self._queue, unit, self._policy)


class _MemoryDelivery:
    def __init__(self, queue: MemoryQueue, unit: _Unit, policy: DeliveryPolicy) -> None:
        self.work = unit.work
        self.number = unit.deliveries
        self._queue = queue
        self._unit = unit
        self._policy = policy

    async def in_progress(self) -> None:
        if self._holds_lease():
            await self._queue.reschedule(self._unit, self._policy.ack_wait)

    async def ack(self) -> None:
        if self._holds_lease():
            await self._queue.remove(self._unit)

    async def retry(self, delay: float) -> None:
        if not self._holds_lease():
            return
        if self.number >= self._policy.max_deliveries:
            await self._queue.bury(self._unit, f"given back at delivery {self.number}, the last one allowed")
        else:
            await self._queue.reschedule(self._unit, delay)

    def _holds_lease(self) -> bool:
        self._queue.require_open()
        return self._unit.deliveries == self.number


class DeadLetterSubscription:
    def __init__(self, queue: MemoryQueue, handler: DeadLetterHandler) -> None:
        self._queue = queue
        self._handler = handler
        self._in_hand = False
        self._stopping = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        self._stopping.set()
        if not self._in_hand:
            self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while not self._stopping.is_set():
            dead = await self._queue.next_dead()
            self._in_hand = True
            if not await self._handle(dead):
                await self._queue.put_back(dead)
            self._in_hand = False

    async def _handle(self, dead: DeadLetter) -> bool:
        failures = 0
        while not self._stopping.is_set():
            try:
                await self._handler(dead)
                return True
            except Exception:  # whatever it is: the letter is offered again
                log.exception("dead_letter_handler_failed", queue=dead.work.queue, job_id=dead.work.job_id)
            pause = HANDLER_BACKOFF[min(failures, len(HANDLER_BACKOFF) - 1)]
            failures += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
        return False
