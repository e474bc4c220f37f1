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
from functools import partial
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from fragua_platform.database import Database
from fragua_platform.errors import FraguaError, Unavailable
from fragua_platform.events.bus import EventBus, QueuedWork
from fragua_platform.events.cloudevents import CloudEvent, event_from_wire
from fragua_platform.telemetry import EVENTS_PUBLISHED, OUTBOX_PENDING

log = structlog.get_logger()

_BATCH = 100
_IDLE_SECONDS = 0.2
_RETRY_SECONDS = 1.0
_CLEANING_SECONDS = 3600.0
_KEEP_SENT = timedelta(days=7)
_KEEP_HANDLED = timedelta(days=60)
"""Twice as long as the bus keeps an event that it could deliver again."""

_EVENT, _WORK = "event", "work"
_INSERTS: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


@dataclass(frozen=True)
class Outbox:
    table: sa.Table

    def add_event(self, connection: Connection, event: CloudEvent) -> None:
        payload = {"headers": event.headers(), "body": event.body.decode()}
        self._add(connection, event.id, _EVENT, payload)

    def add_work(self, connection: Connection, work: QueuedWork) -> None:
        payload = {"queue": work.queue, "job_id": work.job_id, "traceparent": work.traceparent}
        self._add(connection, work.message_id, _WORK, payload)

    def _add(self, connection: Connection, message_id: str, kind: str, payload: dict[str, Any]) -> None:
        connection.execute(
            self.table.insert().values(message_id=message_id, kind=kind, payload=payload, created=datetime.now(UTC))
        )

    def pending(self, connection: Connection, kind: str) -> Sequence[sa.Row[Any]]:
        unsent = self.table.c.sent.is_(None)
        query = self.table.select().where(unsent, self.table.c.kind == kind).order_by(self.table.c.position)
        return connection.execute(query.limit(_BATCH)).all()

    def count_pending_events(self, connection: Connection) -> int:
        query = sa.select(sa.func.count()).where(self.table.c.sent.is_(None), self.table.c.kind == _EVENT)
        return connection.execute(query).scalar_one()

    def mark_sent(self, connection: Connection, position: int) -> None:
        now = datetime.now(UTC)
        connection.execute(self.table.update().where(self.table.c.position == position).values(sent=now))

    def forget_sent(self, connection: Connection, before: datetime) -> None:
        connection.execute(self.table.delete().where(self.table.c.sent < before))


class OutboxRelay:
    """Moves outbox rows to the bus for as long as it runs, in the order in which they were written.

    For one job that is the order of its changes, since each of them locks the job's row before it writes here. Events
    and work go in lanes of their own: in one process an event waits for those who hear it, and jobs must not.
    Several relays of one service do no harm: they publish some messages twice, with the same ids.
    """

    def __init__(self, database: Database, outbox: Outbox, bus: EventBus, service: str) -> None:
        self._database = database
        self._outbox = outbox
        self._bus = bus
        self._service = service

    async def run(self) -> None:
        async with asyncio.TaskGroup() as lanes:
            lanes.create_task(self._relay(_EVENT))
            lanes.create_task(self._relay(_WORK))

    async def _relay(self, kind: str) -> None:
        while True:
            try:
                moved = await self._relay_batch(kind)
            except Unavailable as error:
                log.warning("outbox_relay_waits", kind=kind, reason=error.reason, message=error.message)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            if moved < _BATCH:
                await asyncio.sleep(_IDLE_SECONDS)

    async def _relay_batch(self, kind: str) -> int:
        rows = await self._database.run(lambda connection: self._outbox.pending(connection, kind))
        if kind == _EVENT:
            waiting = len(rows) if len(rows) < _BATCH else await self._database.run(self._outbox.count_pending_events)
            OUTBOX_PENDING.labels(self._service).set(waiting)
        for row in rows:
            try:
                await self._publish(row)
            except Unavailable:
                raise
            except FraguaError as refused:
                # It would be refused for ever, and everything behind it would wait as long.
                log.error("outbox_message_refused", message_id=row.message_id, kind=kind, message=refused.message)
            # One by one: a later failure must not publish the earlier ones again for hours.
            await self._database.run(partial(self._outbox.mark_sent, position=row.position))
        return len(rows)

    async def _publish(self, row: sa.Row[Any]) -> None:
        if row.kind == _EVENT:
            await self._bus.publish(event_from_wire(row.payload["headers"], row.payload["body"].encode()))
            EVENTS_PUBLISHED.labels(self._service).inc()
        else:
            await self._bus.enqueue(QueuedWork(message_id=row.message_id, **row.payload))


@dataclass(frozen=True)
class Inbox:
    """Remembers which events a consumer handled, in the transaction of their effects."""

    table: sa.Table

    def first_time(self, connection: Connection, consumer: str, event_id: str) -> bool:
        """True once per consumer and event; call it first in the transaction that has the event's effects.

        Of two deliveries at once the second waits for the first one's end: it is told False when that was a commit.
        """
        row = {"consumer": consumer, "event_id": event_id, "handled": datetime.now(UTC)}
        insert = _INSERTS[connection.dialect.name](self.table).values(**row).on_conflict_do_nothing()
        return connection.execute(insert.returning(self.table.c.event_id)).first() is not None

    def forget_handled(self, connection: Connection, before: datetime) -> None:
        connection.execute(self.table.delete().where(self.table.c.handled < before))


async def forget_old_messages(database: Database, outbox: Outbox, inbox: Inbox) -> None:
    """Once an hour, for as long as it runs: sent and handled messages that nobody will ask for."""

    def forget(connection: Connection) -> None:
        now = datetime.now(UTC)
        outbox.forget_sent(connection, now - _KEEP_SENT)
        inbox.forget_handled(connection, now - _KEEP_HANDLED)

    while True:
        try:
            await database.run(forget)
        except Unavailable as error:
            log.warning("old_messages_kept", reason=error.reason, message=error.message)
        await asyncio.sleep(_CLEANING_SECONDS)
