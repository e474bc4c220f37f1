"""What runs say while they go on, line by line. Of a job that says more than is kept, the newest lines stay."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fragua_trainer.adapters.tables import training_log_lines
from fragua_trainer.domain.log_line import LogLine

MOST_LINES = 10_000
"""Kept of one job: a day of a run that says something every nine seconds, and about a megabyte."""


class LogLines:
    """Implements `RunLog`."""

    def add(self, connection: Connection, training_job: str, attempt: int, lines: Sequence[str]) -> None:
        """The caller's transaction holds the job's row, so nobody else counts up at the same time."""
        column = training_log_lines.c
        of_job = column.training_job == training_job
        last = connection.execute(sa.select(sa.func.max(column.number)).where(of_job)).scalar_one() or 0
        rows = [
            # PostgreSQL keeps no zero bytes.
            {"training_job": training_job, "number": number, "attempt": attempt, "line": line.replace("\0", "")}
            for number, line in enumerate(lines, last + 1)
        ]
        connection.execute(training_log_lines.insert(), rows)
        too_old = last + len(rows) - MOST_LINES
        connection.execute(training_log_lines.delete().where(of_job, column.number <= too_old))

    def after(self, connection: Connection, training_job: str, number: int, limit: int) -> Sequence[LogLine]:
        """The next lines behind that of `number`; all begin behind 0."""
        column = training_log_lines.c
        query = training_log_lines.select().where(column.training_job == training_job, column.number > number)
        rows = connection.execute(query.order_by(column.number).limit(limit)).all()
        return [LogLine(row.number, row.attempt, row.line) for row in rows]
