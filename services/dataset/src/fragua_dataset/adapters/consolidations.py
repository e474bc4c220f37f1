"""Consolidations in SQL: which samples each one took in, so that it can be finished by anybody and gives the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fragua_dataset.adapters.feedback_tables import (
    accuracy_cycles,
    consolidations,
    exercise_type_progress,
    output_ratings,
    samples,
    user_branch_progress,
)
from fragua_dataset.adapters.locks import lock_branch
from fragua_dataset.adapters.ratings import rating_from
from fragua_dataset.domain.attempts import POOL_DATASET, Snapshot, pooled_row, sample_row
from fragua_dataset.domain.consolidation import Consolidation

_ROWS_AT_ONCE = 1000


class ConsolidationTable:
    """Implements `ConsolidationRecords` of the application."""

    def find(self, connection: Connection, branch: str, cause: str) -> Consolidation | None:
        table = consolidations.c
        row = connection.execute(consolidations.select().where(table.branch == branch, table.cause == cause)).first()
        return _consolidation(row) if row else None

    def begin(
        self, connection: Connection, branch: str, cause: str, exercise_type: str, now: datetime
    ) -> tuple[Consolidation, bool]:
        """Take in whatever is new; True when it was this call that did. Whoever comes second for a cause waits."""
        lock_branch(connection, branch)
        if known := self.find(connection, branch, cause):
            return known, False
        begun = Consolidation(branch, _next_number(connection, branch), cause, exercise_type, begun=now)
        exercise_types = _lock_counts(connection, begun)
        datasets = [each for each in exercise_types if _take_samples(connection, begun, each)]
        if not exercise_type:
            datasets += _take_pool(connection, begun)
            _end_cycle(connection, begun, exercise_types)
        begun = replace(begun, datasets=tuple(datasets), completed=None if datasets else now)
        values = asdict(begun) | {"datasets": datasets, "dataset_versions": []}
        connection.execute(consolidations.insert().values(**values))
        return begun, True

    def complete(self, connection: Connection, begun: Consolidation, versions: Sequence[str], now: datetime) -> None:
        table = consolidations
        query = table.update().where(table.c.branch == begun.branch, table.c.number == begun.number)
        connection.execute(query.values(dataset_versions=list(versions), completed=now))

    def unfinished(self, connection: Connection, branch: str | None = None) -> Sequence[Consolidation]:
        """Of all branches, or of one; in the order in which they began."""
        table = consolidations.c
        query = consolidations.select().where(table.completed.is_(None))
        if branch is not None:
            query = query.where(table.branch == branch)
        return [_consolidation(row) for row in connection.execute(query.order_by(table.branch, table.number))]

    def rows(self, connection: Connection, begun: Consolidation, dataset: str) -> Iterator[dict[str, Any]]:
        """All that was taken in for a dataset so far, always in the same order; a few at a time in memory."""
        reading = connection.execution_options(yield_per=_ROWS_AT_ONCE)
        return _pooled_rows(reading, begun) if dataset == POOL_DATASET else _sample_rows(reading, begun, dataset)


def _consolidation(row: sa.Row[Any]) -> Consolidation:
    fields = dict(row._mapping)
    return Consolidation(**fields | {name: tuple(fields[name]) for name in ("datasets", "dataset_versions")})


def _next_number(connection: Connection, branch: str) -> int:
    table = consolidations.c
    highest = connection.execute(sa.select(sa.func.max(table.number)).where(table.branch == branch)).scalar_one()
    return (highest or 0) + 1


def _lock_counts(connection: Connection, begun: Consolidation) -> Sequence[str]:
    """The exercise types to consolidate, their counts held until the transaction ends.

    In the order in which batches of attempts lock them. A batch that is being written waits or is not seen at all: it
    counts with the next consolidation, samples and counts alike.
    """
    counts = exercise_type_progress.c
    query = sa.select(counts.exercise_type).where(counts.branch == begun.branch)
    if begun.exercise_type:
        query = query.where(counts.exercise_type == begun.exercise_type)
    return connection.execute(query.order_by(counts.exercise_type).with_for_update()).scalars().all()


def _take_samples(connection: Connection, begun: Consolidation, exercise_type: str) -> int:
    new = samples.update().where(
        samples.c.branch == begun.branch,
        samples.c.exercise_type == exercise_type,
        samples.c.consolidation.is_(None),
    )
    number = connection.execute(new.values(consolidation=begun.number)).rowcount
    counts = exercise_type_progress
    of_type = sa.and_(counts.c.branch == begun.branch, counts.c.exercise_type == exercise_type)
    connection.execute(counts.update().where(of_type).values(new_samples=counts.c.new_samples - number))
    return number


def _take_pool(connection: Connection, begun: Consolidation) -> list[str]:
    table = output_ratings
    new = table.update().where(table.c.branch == begun.branch, table.c.pooled, table.c.consolidation.is_(None))
    return [POOL_DATASET] if connection.execute(new.values(consolidation=begun.number)).rowcount else []


def _end_cycle(connection: Connection, begun: Consolidation, exercise_types: Sequence[str]) -> None:
    """A cycle without attempts has no mean, and is none."""
    counts = exercise_type_progress
    of_branch = sa.and_(counts.c.branch == begun.branch, counts.c.exercise_type.in_(exercise_types))
    sums = sa.select(sa.func.sum(counts.c.cycle_attempts), sa.func.sum(counts.c.cycle_accuracy_sum)).where(of_branch)
    attempts, accuracy_sum = connection.execute(sums).one()
    if not attempts:
        return
    cycles = accuracy_cycles
    last = sa.select(sa.func.max(cycles.c.number)).where(cycles.c.branch == begun.branch)
    connection.execute(
        cycles.insert().values(
            branch=begun.branch,
            number=(connection.execute(last).scalar_one() or 0) + 1,
            ended=begun.begun,
            attempts=int(attempts),
            mean_accuracy=accuracy_sum / int(attempts),
        )
    )
    connection.execute(counts.update().where(of_branch).values(cycle_attempts=0, cycle_accuracy_sum=0.0))


def _sample_rows(reading: Connection, begun: Consolidation, exercise_type: str) -> Iterator[dict[str, Any]]:
    kept = user_branch_progress.c
    same_attempt = sa.and_(samples.c.branch == kept.branch, samples.c.attempt_id == kept.attempt_id)
    query = (
        sa.select(samples.c.attempt_id, samples.c.accuracy, kept.dataset_snapshot)
        .join_from(samples, user_branch_progress, same_attempt)
        .where(samples.c.branch == begun.branch, samples.c.exercise_type == exercise_type)
        .where(samples.c.consolidation <= begun.number)
        .order_by(samples.c.consolidation, samples.c.attempt_id)
    )
    for row in reading.execute(query):
        yield sample_row(row.attempt_id, exercise_type, row.accuracy, Snapshot(**row.dataset_snapshot))


def _pooled_rows(reading: Connection, begun: Consolidation) -> Iterator[dict[str, Any]]:
    table = output_ratings.c
    query = output_ratings.select().where(table.branch == begun.branch, table.consolidation <= begun.number)
    for row in reading.execute(query.order_by(table.consolidation, table.created, table.id)):
        yield pooled_row(rating_from(row))
