"""Triggers: keeping the rules, judging them by the facts of their branch, firing them once for each cause."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from sqlalchemy.engine import Connection

from fragua_dataset.application.branches import BranchDirectory
from fragua_dataset.application.feedback import AttemptRecords
from fragua_dataset.application.schedule import last_point, next_point, schedule_problems
from fragua_dataset.domain.triggers import (
    Cause,
    Condition,
    Facts,
    Firing,
    ReadyVersion,
    ScheduleCondition,
    Trigger,
    Verdict,
    judge,
)
from fragua_platform.database import Database
from fragua_platform.errors import AlreadyExists, InvalidInput
from fragua_platform.paging import Page, PageRequest

_CYCLES_LOOKED_AT = 200
"""Twice as many as a condition may ask for, so that the cycles of its last firing are seen too."""

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


class TriggerRecords(Protocol):
    """Each call in the caller's transaction."""

    def get(self, connection: Connection, branch: str, trigger_id: str, *, to_change: bool = False) -> Trigger:
        """`to_change` makes others who judge or change it wait."""
        ...

    def list(self, connection: Connection, branch: str, page: PageRequest) -> Page[Trigger]: ...

    def enabled(self, connection: Connection, branch: str) -> Sequence[Trigger]:
        """Those that may fire, held until the transaction ends: a rule is judged by one at a time."""
        ...

    def scheduled(self, connection: Connection) -> Sequence[Trigger]:
        """Those of all branches that go by the clock."""
        ...

    def add(self, connection: Connection, trigger: Trigger) -> Trigger:
        """The trigger, or the one that has its name already."""
        ...

    def replace(self, connection: Connection, trigger: Trigger) -> None: ...

    def delete(self, connection: Connection, trigger: Trigger) -> None:
        """The firings go with it."""
        ...

    def fire(
        self, connection: Connection, trigger: Trigger, cause: Cause, versions: Sequence[str], now: datetime
    ) -> None:
        """Once for each cause, and told in the same transaction; doing it again changes nothing."""
        ...

    def fired_causes(self, connection: Connection, trigger: Trigger) -> Collection[str]: ...

    def firings(self, connection: Connection, trigger: Trigger, page: PageRequest) -> Page[Firing]:
        """Newest first."""
        ...

    def ready_versions(self, connection: Connection, branch: str) -> Sequence[ReadyVersion]:
        """The newest READY version to train on of each dataset; the one that was made last first."""
        ...


class Triggers:
    """Facts decide, and events only say when to look: a branch may be judged at any time, and as often as one likes."""

    def __init__(
        self,
        database: Database,
        branches: BranchDirectory,
        records: TriggerRecords,
        attempts: AttemptRecords,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._branches = branches
        self._records = records
        self._attempts = attempts
        self._clock = clock

    # --- the rules

    async def create(self, branch: str, trigger_id: str, condition: Condition, *, disabled: bool) -> Trigger:
        """Idempotent; `AlreadyExists` when the trigger has another condition. Fires if that is true already."""
        _check(condition)
        await self._branches.get(branch)

        def write(connection: Connection) -> Trigger:
            now = self._clock()
            kept = self._records.add(connection, Trigger(branch, trigger_id, condition, now, now, disabled))
            if kept.condition != condition:
                raise AlreadyExists(f"{kept.name} exists with another condition; change it with UpdateTrigger")
            self.judge_branch(connection, branch)
            return self._records.get(connection, branch, trigger_id)

        return await self._database.run(write)

    async def update(self, branch: str, trigger_id: str, condition: Condition, *, disabled: bool) -> Trigger:
        """Points in time that passed under another condition, or while it was disabled, do not count."""
        _check(condition)

        def write(connection: Connection) -> Trigger:
            before = self._records.get(connection, branch, trigger_id, to_change=True)
            anew = condition != before.condition or (before.disabled and not disabled)
            since = self._clock() if anew else before.since
            self._records.replace(connection, replace(before, condition=condition, disabled=disabled, since=since))
            self.judge_branch(connection, branch)
            return self._records.get(connection, branch, trigger_id)

        return await self._database.run(write)

    async def get(self, branch: str, trigger_id: str) -> Trigger:
        return await self._database.run(lambda connection: self._records.get(connection, branch, trigger_id))

    async def list(self, branch: str, page: PageRequest) -> Page[Trigger]:
        await self._branches.get(branch)
        return await self._database.run(lambda connection: self._records.list(connection, branch, page))

    async def delete(self, branch: str, trigger_id: str) -> None:
        def remove(connection: Connection) -> None:
            self._records.delete(connection, self._records.get(connection, branch, trigger_id, to_change=True))

        await self._database.run(remove)

    async def firings(self, branch: str, trigger_id: str, page: PageRequest) -> Page[Firing]:
        def read(connection: Connection) -> Page[Firing]:
            return self._records.firings(connection, self._records.get(connection, branch, trigger_id), page)

        return await self._database.run(read)

    # --- judging and firing

    async def explain(self, branch: str, trigger_id: str) -> Verdict:
        """What the rule makes of the facts now, whether or not it is enabled."""

        def read(connection: Connection) -> Verdict:
            trigger = self._records.get(connection, branch, trigger_id)
            return self._judge(connection, trigger, self._records.ready_versions(connection, branch))

        return await self._database.run(read)

    async def look_at(self, branch: str) -> None:
        """Judge a branch in a transaction of its own."""
        await self._database.run(lambda connection: self.judge_branch(connection, branch))

    async def branches_due(self) -> Sequence[str]:
        """Those where a rule that goes by the clock has something to fire for."""
        now = self._clock()

        def due(trigger: Trigger) -> bool:
            point = _due(trigger, now)
            return point is not None and (trigger.last_fired is None or trigger.last_fired < point)

        triggers = await self._database.run(self._records.scheduled)
        return sorted({trigger.branch for trigger in triggers if due(trigger)})

    def judge_branch(self, connection: Connection, branch: str) -> None:
        """Fire every enabled rule of the branch for every cause that it has now."""
        if not (triggers := self._records.enabled(connection, branch)):
            return
        versions = self._records.ready_versions(connection, branch)
        for trigger in triggers:
            for cause in self._judge(connection, trigger, versions).causes:
                names = [version.name for version in versions]
                self._records.fire(connection, trigger, cause, names, self._clock())

    def _judge(self, connection: Connection, trigger: Trigger, versions: Sequence[ReadyVersion]) -> Verdict:
        now, condition = self._clock(), trigger.condition
        facts = Facts(
            versions=versions,
            waiting={
                each.exercise_type: each.new_samples for each in self._attempts.progress(connection, trigger.branch)
            },
            cycles=self._attempts.cycles(connection, trigger.branch, _CYCLES_LOOKED_AT),
            due=_due(trigger, now),
            next_due=next_point(condition.cron, now) if isinstance(condition, ScheduleCondition) else None,
            fired=self._records.fired_causes(connection, trigger),
        )
        return judge(condition, facts)


def _due(trigger: Trigger, now: datetime) -> datetime | None:
    condition = trigger.condition
    return (
        last_point(condition.cron, after=trigger.since, now=now) if isinstance(condition, ScheduleCondition) else None
    )


def _check(condition: Condition) -> None:
    if not isinstance(condition, ScheduleCondition):
        return
    if problems := schedule_problems("trigger.schedule.cron", condition.cron):
        raise InvalidInput(problems[0].description, violations=problems)
