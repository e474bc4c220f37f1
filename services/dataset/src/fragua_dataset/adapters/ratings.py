"""Opinions on outputs in SQL, and the pool of those that became examples."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from fragua_dataset.adapters.feedback_tables import output_ratings
from fragua_dataset.domain.attempts import OutputRating

_INSERTS: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


class RatingTable:
    """Implements `RatingRecords` of the application."""

    def add(self, connection: Connection, rating: OutputRating) -> OutputRating:
        """The rating, or the one that the same request made first."""
        values = {name: getattr(rating, name) for name in rating.__dataclass_fields__}
        insert = _INSERTS[connection.dialect.name](output_ratings).values(**values)
        connection.execute(insert.on_conflict_do_nothing())
        table = output_ratings.c
        same_request = sa.and_(table.branch == rating.branch, table.request_id == rating.request_id)
        return rating_from(connection.execute(output_ratings.select().where(same_request)).one())

    def counts(self, connection: Connection, branch: str) -> tuple[int, int]:
        """Outputs in the pool that wait for the next consolidation, and all that were rated."""
        table = output_ratings.c
        waiting = sa.case((sa.and_(table.pooled, table.consolidation.is_(None)), 1))
        query = sa.select(sa.func.count(waiting), sa.func.count()).where(table.branch == branch)
        pooled, rated = connection.execute(query).one()
        return pooled, rated


def rating_from(row: sa.Row[Any]) -> OutputRating:
    return OutputRating(**{name: getattr(row, name) for name in OutputRating.__dataclass_fields__})
