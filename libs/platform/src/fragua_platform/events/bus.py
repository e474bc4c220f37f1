"""The port to the event bus: facts that anybody may hear, and work that exactly one worker does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from fragua_platform.events.cloudevents import CloudEvent

EVENTS_STREAM = "FRAGUA_EVENTS"
JOBS_STREAM = "FRAGUA_JOBS"
DEAD_STREAM = "FRAGUA_DEAD"

EventHandler = Callable[[CloudEvent], Awaitable[None]]
"""May be called more than once for one event: make it idempotent by `event.id`."""


@dataclass(frozen=True)
class DeliveryPolicy:
    """How a message that was not acknowledged is given out again."""

    ack_wait: float = 30.0
    """Seconds without acknowledgement or `in_progress` until somebody else gets it."""
    max_deliveries: int = 10
    """Every delivery counts, also one that was given back on purpose."""
    backoff: tuple[float, ...] = (1.0, 5.0, 30.0)
    """Delay in seconds before delivery 2, 3, 4…; the last one repeats."""

    def delay_after(self, number: int) -> float:
        """Seconds between the end of delivery `number` and the next one."""
        return self.backoff[min(number, len(self.backoff)) - 1] if self.backoff else 0.0


@dataclass(frozen=True)
class QueuedWork:
    """One unit of work: the job's id and what is needed to trace it; everything else is in the database."""

    queue: str
    """The service, e.g. `trainer`: subject `fragua.jobs.trainer`."""
    job_id: str
    message_id: str
    """Deduplicates: publishing the same message id again within two minutes has no effect."""
    traceparent: str = ""


class Delivery(Protocol):
    """One delivery of a unit of work: a lease that lasts `ack_wait` and is extended by `in_progress`.

    Only the holder of the latest delivery may call these: a worker that lost the job to another attempt stays silent.
    They raise `Unavailable` when the bus does not answer; then the lease runs out and the unit is delivered again. Do not
    repeat them for long: a bus that was killed may have forgotten this delivery and never answers for it.
    """

    work: QueuedWork
    number: int
    """1 for the first delivery of this message."""

    async def in_progress(self) -> None:
        """Extend the lease by another `ack_wait`."""
        ...

    async def ack(self) -> None:
        """Done with it, whatever the outcome: never deliver it again."""
        ...

    async def retry(self, delay: float) -> None:
        """Give it back; it is delivered again after `delay` seconds, or is a dead letter if this was the last time."""
        ...


class Subscription(Protocol):
    async def stop(self) -> None:
        """Finish the event in hand and stop; undelivered events wait for the next subscriber of the same name."""
        ...


class WorkQueue(Protocol):
    # Running out of time is an answer here, not an error; hence a parameter and no asyncio.timeout.
    async def pull(self, timeout: float) -> Delivery | None:  # noqa: ASYNC109
        """The next unit of work, or None when none came within `timeout` seconds.

        A bus that is away looks like an empty queue and is logged; `EventBus.check` tells the difference.
        """
        ...


@dataclass(frozen=True)
class DeadLetter:
    """Work that was delivered as often as allowed and acknowledged by nobody; the queue has forgotten it."""

    work: QueuedWork
    deliveries: int
    cause: str


DeadLetterHandler = Callable[[DeadLetter], Awaitable[None]]


class EventBus(Protocol):
    """Guarantees of every implementation:

    - `publish` and `enqueue` return after the message is safe; they raise `Unavailable` when it may not be.
      The same id again within two minutes has no effect.
    - A subscription is durable by its name: events published while its process is away are delivered later, at least
      once; several subscribers of one name share its events, and a new name begins with the oldest event that the bus
      retains. A handler that raises is called again by the delivery
      policy's backoff; after `max_deliveries` the event goes to the dead letters and the subscription moves on.
      A handler ends within `ack_wait`: after that somebody else gets the event, too.
    - Work queues give each unit to one worker at a time, again after `ack_wait` without a sign of life. Instead of
      delivery `max_deliveries + 1` the unit leaves the queue as a dead letter, and the dead-letter handler is called
      by whichever process subscribed: one of them, at least once, again while it raises.
    - Names of durables and queues have letters, digits, `-` and `_`. The subjects of one subscription do not overlap.
      Anything else is `InvalidInput`.
    """

    remembers_work: bool
    """Whether queued work outlives this process; where it does not, unfinished jobs are enqueued again at start."""

    async def publish(self, event: CloudEvent) -> None: ...

    async def subscribe(
        self, durable: str, subjects: Sequence[str], handler: EventHandler, policy: DeliveryPolicy | None = None
    ) -> Subscription:
        """Hear events whose subject matches one of `subjects` (NATS wildcards `*` and `>`)."""
        ...

    def tail(self, subjects: Sequence[str], *, replay: bool = False) -> AsyncIterator[CloudEvent]:
        """Watch events as they pass, for people; with `replay` the retained ones first. Not durable.

        Subjects below `fragua.dead.events` show the events that a subscription gave up on.
        """
        ...

    async def enqueue(self, work: QueuedWork) -> None: ...

    async def work_queue(self, queue: str, policy: DeliveryPolicy) -> WorkQueue: ...

    async def on_dead_letter(self, queue: str, handler: DeadLetterHandler) -> Subscription: ...

    async def check(self) -> None:
        """Raise `Unavailable` unless the bus answers; for readiness."""
        ...

    async def close(self) -> None:
        """Let every handler finish the message in hand, then let go of the bus."""
        ...
