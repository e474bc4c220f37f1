"""Units of work and dead letters on JetStream: how they look on the wire, and the lease on one delivery."""

from __future__ import annotations

import json
import time

import structlog
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from fragua_platform.errors import InvalidData, Unavailable
from fragua_platform.events.bus import DEAD_STREAM, DeadLetter, Delivery, DeliveryPolicy, QueuedWork
from fragua_platform.events.nats_connection import nats_errors
from fragua_platform.events.nats_consumer import PullConsumer
from fragua_platform.events.subjects import dead_work_subject

CAUSE = "Fragua-Dead-Cause"
DELIVERIES = "Fragua-Dead-Deliveries"
MESSAGE_ID = "Fragua-Message-Id"
LONGEST_CAUSE = 1000

log = structlog.get_logger(__name__)


def message_of(work: QueuedWork) -> tuple[bytes, dict[str, str]]:
    headers = {"Nats-Msg-Id": work.message_id, MESSAGE_ID: work.message_id, "content-type": "application/json"}
    if work.traceparent:
        headers["traceparent"] = work.traceparent
    return json.dumps({"job_id": work.job_id}, ensure_ascii=False).encode(), headers


def work_from(queue: str, message: Msg) -> QueuedWork:
    headers = message.headers or {}
    try:
        return QueuedWork(
            queue=queue,
            job_id=str(json.loads(message.data)["job_id"]),
            message_id=headers[MESSAGE_ID],
            traceparent=headers.get("traceparent", ""),
        )
    except (ValueError, KeyError, TypeError) as broken:
        raise InvalidData(f"not a unit of work for {queue}: {broken!r}") from broken


def dead_letter_from(queue: str, message: Msg) -> DeadLetter:
    headers = message.headers or {}
    return DeadLetter(
        work=work_from(queue, message),
        deliveries=int(headers.get(DELIVERIES, "0")),
        cause=headers.get(CAUSE, "unknown"),
    )


async def bury(jetstream: JetStreamContext, message: Msg, subject: str, deliveries: int, cause: str) -> None:
    """Move a message to the dead letters.

    Killed between the two steps, the message is delivered and buried once more; its id makes that one dead letter.
    """
    origin = message.metadata
    kept = {name: value for name, value in (message.headers or {}).items() if not name.startswith("Nats-")}
    headers = kept | {
        "Nats-Msg-Id": f"dead-{origin.stream}-{origin.consumer}-{origin.sequence.stream}",
        CAUSE: cause[:LONGEST_CAUSE],
        DELIVERIES: str(deliveries),
    }
    await jetstream.publish(subject, message.data, headers=headers, stream=DEAD_STREAM)
    await message.ack_sync()
    log.error("message_is_dead", subject=message.subject, dead_subject=subject, deliveries=deliveries, cause=cause)


class NatsWorkQueue:
    def __init__(self, queue: str, policy: DeliveryPolicy, consumer: PullConsumer, jetstream: JetStreamContext) -> None:
        self._queue = queue
        self._policy = policy
        self._consumer = consumer
        self._jetstream = jetstream

    async def pull(self, timeout: float) -> Delivery | None:  # noqa: ASYNC109 - the port says why
        deadline = time.monotonic() + timeout
        while message := await self._consumer.next(deadline - time.monotonic()):
            delivered = message.metadata.num_delivered
            try:
                work = work_from(self._queue, message)
            except InvalidData as broken:
                await self._bury(message, delivered, str(broken))
                continue
            if delivered > self._policy.max_deliveries:
                before = delivered - 1
                await self._bury(message, before, f"delivered {before} times and never acknowledged")
                continue
            return _NatsDelivery(work, message, self)
        return None

    async def give_back(self, message: Msg, delay: float) -> None:
        delivered = message.metadata.num_delivered
        if delivered >= self._policy.max_deliveries:
            cause = f"given back at delivery {delivered}, the last one allowed"
            await bury(self._jetstream, message, dead_work_subject(self._queue), delivered, cause)
        else:
            await message.nak(delay)

    async def _bury(self, message: Msg, deliveries: int, cause: str) -> None:
        try:
            with nats_errors("moving work to the dead letters"):
                await bury(self._jetstream, message, dead_work_subject(self._queue), deliveries, cause)
        except Unavailable as unavailable:  # it is delivered again, and buried then
            log.warning("dead_letter_delayed", queue=self._queue, cause=unavailable.message)


class _NatsDelivery:
    def __init__(self, work: QueuedWork, message: Msg, queue: NatsWorkQueue) -> None:
        self.work = work
        self.number = message.metadata.num_delivered
        self._message = message
        self._queue = queue

    async def in_progress(self) -> None:
        with nats_errors(f"extending the lease on job {self.work.job_id}"):
            await self._message.in_progress()

    async def ack(self) -> None:
        with nats_errors(f"acknowledging job {self.work.job_id}"):
            await self._message.ack_sync()

    async def retry(self, delay: float) -> None:
        with nats_errors(f"giving back job {self.work.job_id}"):
            await self._queue.give_back(self._message, delay)
