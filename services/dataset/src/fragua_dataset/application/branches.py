"""Keeping branches."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from sqlalchemy.engine import Connection

from fragua_dataset.domain.dataset import Branch
from fragua_platform.database import Database
from fragua_platform.paging import Page, PageRequest


class Branches(Protocol):
    """Each call in the caller's transaction."""

    def create(self, connection: Connection, branch: Branch) -> Branch:
        """Idempotent; `AlreadyExists` when the branch has other content."""
        ...

    def get(self, connection: Connection, branch_id: str) -> Branch: ...

    def list(self, connection: Connection, page: PageRequest) -> Page[Branch]: ...


class BranchDirectory:
    def __init__(self, database: Database, branches: Branches) -> None:
        self._database = database
        self._branches = branches

    async def create(self, branch_id: str, display_name: str) -> Branch:
        branch = Branch(branch_id, display_name or branch_id, datetime.now(UTC))
        return await self._database.run(lambda connection: self._branches.create(connection, branch))

    async def get(self, branch_id: str) -> Branch:
        return await self._database.run(lambda connection: self._branches.get(connection, branch_id))

    async def list(self, page: PageRequest) -> Page[Branch]:
        return await self._database.run(lambda connection: self._branches.list(connection, page))
