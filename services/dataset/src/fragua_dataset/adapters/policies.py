"""Branch policies in SQL. A branch without a row goes by the packaged policy."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from fragua_dataset.adapters.branches import BranchTable
from fragua_dataset.adapters.feedback_tables import branch_policies
from fragua_dataset.adapters.locks import lock_branch
from fragua_dataset.domain.policy import BranchPolicy, KeptPolicy


class PolicyTable:
    """Implements `PolicyRecords` of the application."""

    def __init__(self, packaged: BranchPolicy) -> None:
        self._packaged = packaged

    def get(self, connection: Connection, branch_id: str, *, to_change: bool = False) -> KeptPolicy:
        branch = (lock_branch if to_change else BranchTable().get)(connection, branch_id)
        row = connection.execute(branch_policies.select().where(branch_policies.c.branch == branch_id)).first()
        if row is None:
            return KeptPolicy(branch_id, self._packaged, schedule_since=branch.created)
        return KeptPolicy(branch_id, BranchPolicy.model_validate_json(row.policy), row.schedule_since, row.updated)

    def put(self, connection: Connection, kept: KeptPolicy) -> None:
        connection.execute(branch_policies.delete().where(branch_policies.c.branch == kept.branch))
        values = {"policy": kept.policy.model_dump_json(), "schedule_since": kept.schedule_since}
        connection.execute(branch_policies.insert().values(branch=kept.branch, updated=kept.updated, **values))
