"""Whose turn it is: which of the waiting jobs starts next, and how many of one branch may run at once.

The order is by priority; then the branch that has the fewest jobs running; then the branch whose last job started
longest ago, so that even a single worker goes round; then age. Work that has begun and rested goes on by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fragua_platform.jobs.job import JobState


@dataclass(frozen=True)
class BranchLimits:
    """How many jobs of one branch may run at once; 0 means as many as there are workers."""

    default: int = 0
    of: Mapping[str, int] = field(default_factory=dict)
    """Other limits for single branches."""

    def limit(self, branch: str) -> int:
        return self.of.get(branch, self.default)


class Turns:
    """What the job table says about the order. Callers that act on an answer call `one_at_a_time` first."""

    def __init__(self, service: str, jobs: sa.Table, limits: BranchLimits) -> None:
        self._key = f"fragua:{service}:turns"
        self._jobs = jobs
        self._limits = limits

    def one_at_a_time(self, connection: Connection) -> None:
        """Until the transaction ends, nobody else starts or ends a job of this service.

        Two that count what runs at the same moment would both find room for one more. SQLite has one writer anyway.
        Take it before any row is locked: whoever holds it waits for rows, so nobody who holds a row may wait for it.
        """
        if connection.dialect.name == "postgresql":
            key = sa.func.hashtextextended(self._key, 0)
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))

    def has_room(self, connection: Connection, branch: str) -> bool:
        limit = self._limits.limit(branch)
        return not limit or self._running(connection)[branch] < limit

    def next_job(self, connection: Connection) -> str | None:
        """Id of the job that starts next, of those that a message stands for; None when their branches are full."""
        jobs = self._jobs
        counts = (
            sa.select(jobs.c.branch, sa.func.count().label("jobs"))
            .where(jobs.c.state == JobState.RUNNING.value)
            .group_by(jobs.c.branch)
            .subquery("running")
        )
        # Jobs of one branch share this answer, and an index gives it: the last row of the branch.
        served = jobs.alias("served")
        last_start = sa.select(sa.func.max(served.c.started)).where(served.c.branch == jobs.c.branch).scalar_subquery()
        running = self._running(connection)
        full = [branch for branch, count in running.items() if 0 < self._limits.limit(branch) <= count]
        query = (
            sa.select(jobs.c.id)
            .outerjoin(counts, counts.c.branch == jobs.c.branch)
            .where(self._fresh(), jobs.c.branch.not_in(full))
            .order_by(
                jobs.c.priority.desc(),
                sa.func.coalesce(counts.c.jobs, 0),
                sa.nulls_first(last_start),
                jobs.c.created,
                jobs.c.id,
            )
        )
        return connection.execute(query.limit(1)).scalar_one_or_none()

    def first_held(self, connection: Connection, branch: str) -> str | None:
        """Id of the job of `branch` that starts first of those that are held."""
        row = connection.execute(self._held().where(self._jobs.c.branch == branch).limit(1)).first()
        return row.id if row else None

    def held_with_room(self, connection: Connection) -> Sequence[str]:
        """Ids of held jobs for whose branch there is room that nobody was offered."""
        rows = connection.execute(self._held()).all()
        if not rows:
            return []
        taken = self._running(connection) + self._offered(connection)
        chosen = []
        for row in rows:
            limit = self._limits.limit(row.branch)
            if not limit or taken[row.branch] < limit:
                taken[row.branch] += 1
                chosen.append(row.id)
        return chosen

    def _held(self) -> sa.Select[Any]:
        jobs = self._jobs
        held = sa.select(jobs.c.id, jobs.c.branch).where(self._waits(), jobs.c.message == "")
        return held.order_by(jobs.c.priority.desc(), jobs.c.created, jobs.c.id)

    def _waits(self) -> sa.ColumnElement[bool]:
        return self._jobs.c.state == JobState.QUEUED.value

    def _fresh(self) -> sa.ColumnElement[bool]:
        """Waits by a message that was never given back."""
        return sa.and_(self._waits(), self._jobs.c.not_before.is_(None), self._jobs.c.message != "")

    def _running(self, connection: Connection) -> Counter[str]:
        return self._count(connection, self._jobs.c.state == JobState.RUNNING.value)

    def _offered(self, connection: Connection) -> Counter[str]:
        return self._count(connection, self._fresh())

    def _count(self, connection: Connection, condition: sa.ColumnElement[bool]) -> Counter[str]:
        branch = self._jobs.c.branch
        rows = connection.execute(sa.select(branch, sa.func.count()).where(condition).group_by(branch))
        return Counter({row[0]: row[1] for row in rows})
