"""Branches in SQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from fragua_dataset.adapters.tables import branches
from fragua_dataset.domain.dataset import Branch
from fragua_platform.errors import AlreadyExists, NotFound
from fragua_platform.paging import Page, PageRequest

_INSERTS: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


class BranchTable:
    """Implements `Branches` of the application."""

    def create(self, connection: Connection, branch: Branch) -> Branch:
        values = {"id": branch.id, "display_name": branch.display_name, "created": branch.created}
        # Two who create the same branch at once both get it.
        connection.execute(_INSERTS[connection.dialect.name](branches).values(**values).on_conflict_do_nothing())
        known = self.get(connection, branch.id)
        if known.display_name != branch.display_name:
            raise AlreadyExists(f"{branch.name} exists with the display name {known.display_name!r}")
        return known

    def get(self, connection: Connection, branch_id: str) -> Branch:
        if branch := self._find(connection, branch_id):
            return branch
        raise NotFound(f"branches/{branch_id} does not exist; create it with CreateBranch")

    def list(self, connection: Connection, page: PageRequest) -> Page[Branch]:
        query = branches.select()
        if page.after:
            query = query.where(branches.c.id > page.after[0])
        rows = connection.execute(query.order_by(branches.c.id).limit(page.size + 1)).all()
        found = [Branch(row.id, row.display_name, row.created) for row in rows]
        return page.cut(found, lambda branch: [branch.id])

    def _find(self, connection: Connection, branch_id: str) -> Branch | None:
        row = connection.execute(branches.select().where(branches.c.id == branch_id)).first()
        return Branch(row.id, row.display_name, row.created) if row else None
