"""Changes of a branch that must come one after the other."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from fragua_dataset.adapters.branches import BranchTable
from fragua_dataset.adapters.tables import branches
from fragua_dataset.domain.dataset import Branch


def lock_branch(connection: Connection, branch_id: str) -> Branch:
    """Hold the branch until the transaction ends; whoever asks for it meanwhile waits. `NotFound` when there is none.

    SQLite has one writer at a time and needs no lock.
    """
    connection.execute(branches.select().where(branches.c.id == branch_id).with_for_update())
    return BranchTable().get(connection, branch_id)
