"""The transactional outbox: a state change and the messages that tell of it commit together, or not at all.

Use cases write rows here in the transaction of their change. The relay publishes them in order and marks them sent
after the bus has them safe. A crash in between publishes a message twice; its id makes the bus drop the second one,
and consumers keep an inbox of the ids they handled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from fragua_platform.database import Database
from fragua_platform.errors import FraguaError
from fragua_platform.events.bus import EventBus, QueuedWork
from fragua_platform.events.cloudevents import CloudEvent, event_from_wire
from fragua_platform.telemetry import OUTBOX_PENDING

log = structlog.get_logger()

_BATCH = 100
_IDLE_SECONDS = 0.2
_RETRY_SECONDS = 1.0
_KEEP_SENT = timedelta(days=7)


@dataclass(frozen=True)
class Outbox:
    table: sa.Table

    def add_event(self, connection: Connection, event: CloudEvent) -> None:
        payload = {"headers": event.headers(), "body": event.body.decode()}
        self._add(connection, event.id, "event", payload)

    def add_work(self, connection: Connection, work: QueuedWork) -> None:
        payload = {"queue": work.queue, "job_id": work.job_id, "traceparent": work.traceparent}
        self._add(connection, work.message_id, "work", payload)

    def _add(self, connection: Connection, message_id: str, kind: str, payload: dict[str, Any]) -> None:
        connection.execute(
            self.table.insert().values(message_id=message_id, kind=kind, payload=payload, created=datetime.now(UTC))
        )

    def pending(self, connection: Connection) -> Sequence[sa.Row[Any]]:
        query = self.table.select().where(self.table.c.sent.is_(None)).order_by(self.table.c.position).limit(_BATCH)
        return connection.execute(query).all()

    def mark_sent(self, connection: Connection, positions: Sequence[int]) -> None:
        now = datetime.now(UTC)
        connection.execute(self.table.update().where(self.table.c.position.in_(positions)).values(sent=now))

    def forget_sent(self, connection: Connection, before: datetime) -> None:
        connection.execute(self.table.delete().where(self.table.c.sent < before))


class OutboxRelay:
    """Moves outbox rows to the bus, in the order of their commits, for as long as it runs.

    Several relays of one service do no harm: they publish some messages twice, with the same ids.
    """

    def __init__(self, database: Database, outbox: Outbox, bus: EventBus, service: str) -> None:
        self._database = database
        self._outbox = outbox
        self._bus = bus
        self._service = service

    async def run(self) -> None:
        next_cleaning = datetime.now(UTC)
        while True:
            try:
                moved = await self.relay_once()
                if datetime.now(UTC) >= next_cleaning:
                    next_cleaning = datetime.now(UTC) + timedelta(hours=1)
                    before = datetime.now(UTC) - _KEEP_SENT
                    await self._database.run(lambda connection: self._outbox.forget_sent(connection, before))
            except FraguaError as error:
                log.warning("outbox_relay_waits", reason=error.reason, message=error.message)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            if moved < _BATCH:
                await asyncio.sleep(_IDLE_SECONDS)

    async def relay_once(self) -> int:
        """Publish what is pending; returns how many messages went out."""
        rows = await self._database.run(self._outbox.pending)
        OUTBOX_PENDING.labels(self._service).set(len(rows))
        for row in rows:
            await self._publish(row)
            # One by one: a later failure must not publish the earlier ones again for hours.
            await self._database.run(lambda connection, row=row: self._outbox.mark_sent(connection, [row.position]))
        return len(rows)

    async def _publish(self, row: sa.Row[Any]) -> None:
        if row.kind == "event":
            await self._bus.publish(event_from_wire(row.payload["headers"], row.payload["body"].encode()))
        else:
            await self._bus.enqueue(QueuedWork(message_id=row.message_id, **row.payload))


@dataclass(frozen=True)
class Inbox:
    """Remembers which events a consumer handled, in the transaction of their effects."""

    table: sa.Table

    def first_time(self, connection: Connection, consumer: str, event_id: str) -> bool:
        """True once per consumer and event; call it first in the transaction that has the event's effects."""
        known = self.table.select().where(self.table.c.consumer == consumer, self.table.c.event_id == event_id)
        if connection.execute(known).first() is not None:
            return False
        # Two deliveries at once: the primary key lets one transaction commit, the other one is delivered again.
        connection.execute(
            self.table.insert().values(consumer=consumer, event_id=event_id, handled=datetime.now(UTC))
        )
        return True
