"""Triggers in SQL, the times they fired, and what their rules may know."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from fragua.dataset.v1 import dataset_events_pb2
from fragua_dataset.adapters.feedback_tables import trigger_firings, triggers
from fragua_dataset.adapters.samples import samples_of
from fragua_dataset.adapters.tables import dataset_versions
from fragua_dataset.domain.triggers import CONDITION, Cause, Firing, ReadyVersion, Trigger
from fragua_dataset.domain.version import VersionState
from fragua_platform.errors import NotFound
from fragua_platform.events.cloudevents import new_event
from fragua_platform.events.outbox import Outbox
from fragua_platform.jobs.desk import new_id
from fragua_platform.paging import Page, PageRequest
from fragua_platform.telemetry import current_traceparent

_INSERTS: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


class TriggerTable:
    """Implements `TriggerRecords` of the application."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def get(self, connection: Connection, branch: str, trigger_id: str, *, to_change: bool = False) -> Trigger:
        query = triggers.select().where(_is(branch, trigger_id))
        row = connection.execute(query.with_for_update() if to_change else query).first()
        if row is None:
            raise NotFound(f"branches/{branch}/triggers/{trigger_id} does not exist")
        return _trigger(row)

    def list(self, connection: Connection, branch: str, page: PageRequest) -> Page[Trigger]:
        query = triggers.select().where(triggers.c.branch == branch)
        if page.after:
            query = query.where(triggers.c.id > page.after[0])
        rows = connection.execute(query.order_by(triggers.c.id).limit(page.size + 1)).all()
        return page.cut([_trigger(row) for row in rows], lambda trigger: [trigger.id])

    def enabled(self, connection: Connection, branch: str) -> Sequence[Trigger]:
        """Those that may fire, held until the transaction ends: a rule is judged by one at a time."""
        query = triggers.select().where(triggers.c.branch == branch, sa.not_(triggers.c.disabled))
        rows = connection.execute(query.order_by(triggers.c.id).with_for_update())
        return [_trigger(row) for row in rows]

    def scheduled(self, connection: Connection) -> Sequence[Trigger]:
        """Those of all branches that go by the clock."""
        query = triggers.select().where(triggers.c.kind == "schedule", sa.not_(triggers.c.disabled))
        return [_trigger(row) for row in connection.execute(query.order_by(triggers.c.branch, triggers.c.id))]

    def add(self, connection: Connection, trigger: Trigger) -> Trigger:
        """The trigger, or the one that has its name already."""
        insert = _INSERTS[connection.dialect.name](triggers)
        values = insert.values(branch=trigger.branch, id=trigger.id, **_values(trigger))
        connection.execute(values.on_conflict_do_nothing())
        return self.get(connection, trigger.branch, trigger.id)

    def replace(self, connection: Connection, trigger: Trigger) -> None:
        connection.execute(triggers.update().where(_is(trigger.branch, trigger.id)).values(**_values(trigger)))

    def delete(self, connection: Connection, trigger: Trigger) -> None:
        """The firings go with it."""
        connection.execute(trigger_firings.delete().where(_of(trigger)))
        connection.execute(triggers.delete().where(_is(trigger.branch, trigger.id)))

    # --- firing

    def fire(
        self, connection: Connection, trigger: Trigger, cause: Cause, versions: Sequence[str], now: datetime
    ) -> None:
        """Once for each cause, and told in the same transaction; doing it again changes nothing."""
        firing = Firing(trigger.name, new_id(), cause.name, cause.why, versions, now)
        insert = _INSERTS[connection.dialect.name](trigger_firings).values(
            branch=trigger.branch,
            trigger=trigger.id,
            id=firing.id,
            cause=firing.cause,
            why=firing.why,
            dataset_versions=list(versions),
            fired=now,
        )
        first = insert.on_conflict_do_nothing().returning(trigger_firings.c.id)
        if connection.execute(first).first() is None:
            return
        connection.execute(triggers.update().where(_is(trigger.branch, trigger.id)).values(last_fired=now))
        message = dataset_events_pb2.TriggerFired(
            trigger=trigger.name,
            branch=trigger.branch,
            firing=firing.name,
            cause=firing.cause,
            why=firing.why,
            dataset_versions=versions,
        )
        event = new_event(trigger.branch, "dataset", "trigger", "fired", message, traceparent=current_traceparent())
        self._outbox.add_event(connection, event)

    def fired_causes(self, connection: Connection, trigger: Trigger) -> Collection[str]:
        return set(connection.execute(sa.select(trigger_firings.c.cause).where(_of(trigger))).scalars())

    def firings(self, connection: Connection, trigger: Trigger, page: PageRequest) -> Page[Firing]:
        """Newest first."""
        table = trigger_firings.c
        query = trigger_firings.select().where(_of(trigger))
        if page.after:
            at, last = page.instant(0), page.after[1]
            query = query.where(sa.or_(table.fired < at, sa.and_(table.fired == at, table.id < last)))
        rows = connection.execute(query.order_by(table.fired.desc(), table.id.desc()).limit(page.size + 1)).all()
        found = [Firing(trigger.name, row.id, row.cause, row.why, row.dataset_versions, row.fired) for row in rows]
        return page.cut(found, lambda firing: [firing.fired.isoformat(), firing.id])

    # --- what rules may know

    def ready_versions(self, connection: Connection, branch: str) -> Sequence[ReadyVersion]:
        """The newest READY version to train on of each dataset; the one that was made last first."""
        table = dataset_versions.c
        newest_first = (table.created.desc(), table.name.desc())
        age = sa.func.row_number().over(partition_by=table.dataset, order_by=newest_first)
        ready = (
            sa.select(table.name, table.dataset, table.created, age.label("age"))
            .where(table.branch == branch, table.state == VersionState.READY.value, sa.not_(table.evaluation))
            .subquery()
        )
        query = sa.select(ready).where(ready.c.age == 1).order_by(ready.c.created.desc(), ready.c.name.desc())
        rows = connection.execute(query).all()
        samples = samples_of(connection, [row.name for row in rows])
        return [ReadyVersion(row.name, row.dataset.rpartition("/")[2], samples.get(row.name, {})) for row in rows]


def _is(branch: str, trigger_id: str) -> sa.ColumnElement[bool]:
    return sa.and_(triggers.c.branch == branch, triggers.c.id == trigger_id)


def _of(trigger: Trigger) -> sa.ColumnElement[bool]:
    return sa.and_(trigger_firings.c.branch == trigger.branch, trigger_firings.c.trigger == trigger.id)


def _values(trigger: Trigger) -> dict[str, Any]:
    return {
        "kind": trigger.condition.kind,
        "condition": trigger.condition.model_dump(mode="json"),
        "disabled": trigger.disabled,
        "created": trigger.created,
        "since": trigger.since,
        "last_fired": trigger.last_fired,
    }


def _trigger(row: sa.Row[Any]) -> Trigger:
    condition = CONDITION.validate_python(row.condition)
    return Trigger(row.branch, row.id, condition, row.created, row.since, row.disabled, row.last_fired)
