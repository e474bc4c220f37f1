"""Opinions on outputs in SQL, and the pool of those that became examples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from fragua_dataset.adapters.feedback_tables import output_ratings
from fragua_dataset.domain.attempts import OutputRating, pooled_row

_INSERTS: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
_ROWS_AT_ONCE = 1000


class RatingTable:
    """Implements `RatingRecords` of the application."""

    def add(self, connection: Connection, rating: OutputRating) -> OutputRating:
        """The rating, or the one that the same request made first."""
        values = {name: getattr(rating, name) for name in rating.__dataclass_fields__}
        insert = _INSERTS[connection.dialect.name](output_ratings).values(**values)
        connection.execute(insert.on_conflict_do_nothing())
        table = output_ratings.c
        same_request = sa.and_(table.branch == rating.branch, table.request_id == rating.request_id)
        return _rating(connection.execute(output_ratings.select().where(same_request)).one())

    def counts(self, connection: Connection, branch: str) -> tuple[int, int]:
        """Outputs in the pool that wait for the next consolidation, and all that were rated."""
        table = output_ratings.c
        waiting = sa.case((sa.and_(table.pooled, table.consolidation.is_(None)), 1))
        query = sa.select(sa.func.count(waiting), sa.func.count()).where(table.branch == branch)
        pooled, rated = connection.execute(query).one()
        return pooled, rated

    def pooled_rows(self, connection: Connection, branch: str, consolidation: int) -> Iterator[dict[str, Any]]:
        """The pool up to a consolidation, always in the same order; a few at a time in memory."""
        table = output_ratings.c
        query = output_ratings.select().where(table.branch == branch, table.consolidation <= consolidation)
        query = query.order_by(table.consolidation, table.created, table.id)
        for row in connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(query):
            yield pooled_row(_rating(row))


def _rating(row: sa.Row[Any]) -> OutputRating:
    return OutputRating(**{name: getattr(row, name) for name in OutputRating.__dataclass_fields__})
