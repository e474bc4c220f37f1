"""Attempts in SQL: each counts once, those that are good enough are kept as samples, and all are counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from fragua.dataset.v1 import dataset_events_pb2
from fragua_dataset.adapters.feedback_tables import (
    accuracy_cycles,
    attempts,
    exercise_type_progress,
    samples,
    user_branch_progress,
)
from fragua_dataset.domain.attempts import AccuracyCycle, Attempt, ExerciseTypeProgress, Snapshot, Tally
from fragua_platform.events.cloudevents import new_event
from fragua_platform.events.outbox import Outbox
from fragua_platform.telemetry import current_traceparent

_INSERTS: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


class AttemptTable:
    """Implements `AttemptRecords` of the application."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def take_in(self, connection: Connection, branch: str, batch: Sequence[Attempt], min_accuracy: float) -> Tally:
        """Keep and count the attempts that are new, and tell of it."""
        new = _remember(connection, branch, batch)
        accepted = [attempt for attempt in new if attempt.accuracy >= min_accuracy]
        _keep(connection, branch, accepted)
        sample_counts = _count(connection, branch, new, min_accuracy)
        tally = Tally(len(batch), len(accepted), len(new) - len(accepted), len(batch) - len(new))
        if new:
            message = dataset_events_pb2.AttemptsIngested(
                branch=branch,
                accepted=tally.accepted,
                below_accuracy=tally.below_accuracy,
                samples_by_exercise_type=sample_counts,
            )
            event = new_event(branch, "dataset", "attempts", "ingested", message, traceparent=current_traceparent())
            self._outbox.add_event(connection, event)
        return tally

    def progress(self, connection: Connection, branch: str) -> Sequence[ExerciseTypeProgress]:
        table = exercise_type_progress.c
        rows = connection.execute(
            exercise_type_progress.select().where(table.branch == branch).order_by(table.exercise_type)
        )
        return [
            ExerciseTypeProgress(row.exercise_type, row.samples, row.new_samples, row.below_accuracy, row.accuracy_sum)
            for row in rows
        ]

    def cycles(self, connection: Connection, branch: str, limit: int) -> Sequence[AccuracyCycle]:
        """Newest first."""
        query = accuracy_cycles.select().where(accuracy_cycles.c.branch == branch)
        rows = connection.execute(query.order_by(accuracy_cycles.c.number.desc()).limit(limit))
        return [AccuracyCycle(row.branch, row.number, row.ended, row.attempts, row.mean_accuracy) for row in rows]


def _remember(connection: Connection, branch: str, batch: Sequence[Attempt]) -> Sequence[Attempt]:
    """The attempts that nobody sent before."""
    by_id = {attempt.attempt_id: attempt for attempt in reversed(batch)}  # the first one counts
    # In one order everywhere: two streams with the same attempts wait for each other, and never in a circle.
    rows = [{"branch": branch, "attempt_id": attempt_id} for attempt_id in sorted(by_id)]
    insert = _INSERTS[connection.dialect.name](attempts).on_conflict_do_nothing().returning(attempts.c.attempt_id)
    return [by_id[attempt_id] for attempt_id in connection.execute(insert, rows).scalars()]


def _keep(connection: Connection, branch: str, accepted: Sequence[Attempt]) -> None:
    if not accepted:
        return
    connection.execute(
        user_branch_progress.insert(),
        [
            {
                "branch": branch,
                "attempt_id": attempt.attempt_id,
                "user_id": attempt.user_id,
                "exercise_type": attempt.exercise_type,
                "accuracy": attempt.accuracy,
                "dataset_snapshot": _snapshot_fields(attempt.snapshot),
                "attempted": attempt.attempted,
            }
            for attempt in accepted
        ],
    )
    connection.execute(
        samples.insert(),
        [
            {
                "branch": branch,
                "attempt_id": attempt.attempt_id,
                "exercise_type": attempt.exercise_type,
                "accuracy": attempt.accuracy,
            }
            for attempt in accepted
        ],
    )


def _snapshot_fields(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "question": snapshot.question,
        "answer": snapshot.answer,
        "choices": list(snapshot.choices),
        "system": snapshot.system,
        "metadata": dict(snapshot.metadata),
    }


def _count(connection: Connection, branch: str, new: Sequence[Attempt], min_accuracy: float) -> Mapping[str, int]:
    """Add to the counts; returns the samples so far of each type of the batch."""
    totals = {}
    for exercise_type in sorted({attempt.exercise_type for attempt in new}):
        accuracies = [attempt.accuracy for attempt in new if attempt.exercise_type == exercise_type]
        accepted = sum(accuracy >= min_accuracy for accuracy in accuracies)
        added = {
            "samples": accepted,
            "new_samples": accepted,
            "below_accuracy": len(accuracies) - accepted,
            "accuracy_sum": sum(accuracies),
            "cycle_attempts": len(accuracies),
            "cycle_accuracy_sum": sum(accuracies),
        }
        table = exercise_type_progress
        insert = _INSERTS[connection.dialect.name](table).values(branch=branch, exercise_type=exercise_type, **added)
        upsert = insert.on_conflict_do_update(
            index_elements=[table.c.branch, table.c.exercise_type],
            set_={name: table.c[name] + insert.excluded[name] for name in added},
        )
        totals[exercise_type] = connection.execute(upsert.returning(table.c.samples)).scalar_one()
    return totals
