"""Keeping branch policies."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Protocol

import yaml
from pydantic import ValidationError
from sqlalchemy.engine import Connection

from fragua_dataset.application.schedule import schedule_problems
from fragua_dataset.domain.policy import BranchPolicy, KeptPolicy
from fragua_dataset.domain.profile_catalog import packaged_names
from fragua_platform.database import Database
from fragua_platform.errors import InvalidInput, Superseded, Violation


class PolicyChanged(Superseded):
    """Somebody else updated the policy since it was read."""

    reason = "ETAG_MISMATCH"


class PolicyRecords(Protocol):
    """Each call in the caller's transaction."""

    def get(self, connection: Connection, branch_id: str, *, to_change: bool = False) -> KeptPolicy:
        """The packaged one until somebody changed it. `to_change` makes others who want to change it wait."""
        ...

    def put(self, connection: Connection, kept: KeptPolicy) -> None: ...


def packaged_policy() -> BranchPolicy:
    text = files("fragua_dataset").joinpath("policies/default.yaml").read_text("utf-8")
    return BranchPolicy.model_validate(yaml.safe_load(text))


class Policies:
    def __init__(self, database: Database, records: PolicyRecords) -> None:
        self._database = database
        self._records = records

    async def get(self, branch_id: str) -> KeptPolicy:
        return await self._database.run(lambda connection: self._records.get(connection, branch_id))

    async def policy_of(self, branch_id: str) -> BranchPolicy:
        return (await self.get(branch_id)).policy

    def of(self, connection: Connection, branch_id: str) -> BranchPolicy:
        """What counts in the caller's transaction."""
        return self._records.get(connection, branch_id).policy

    async def update(self, branch_id: str, fields: Mapping[str, Any], etag: str) -> KeptPolicy:
        """Replace the policy whole; `PolicyChanged` when `etag` is given and not the current one."""
        policy = _parse(fields)

        def replace(connection: Connection) -> KeptPolicy:
            before = self._records.get(connection, branch_id, to_change=True)
            if etag and etag != before.etag:
                raise PolicyChanged(f"{before.name} was changed since you read it; read it again and repeat the change")
            now = datetime.now(UTC)
            same_schedule = policy.consolidation_schedule == before.policy.consolidation_schedule
            after = KeptPolicy(branch_id, policy, before.schedule_since if same_schedule else now, now)
            self._records.put(connection, after)
            return after

        return await self._database.run(replace)


def _parse(fields: Mapping[str, Any]) -> BranchPolicy:
    """The policy, or everything that is wrong with it."""
    problems = []
    try:
        policy = BranchPolicy.model_validate(fields)
    except ValidationError as invalid:
        policy = None
        problems += [
            Violation(".".join(["policy", *map(str, error["loc"])]), error["msg"]) for error in invalid.errors()
        ]
    if cron := fields["consolidation_schedule"]:
        problems += schedule_problems("policy.consolidation_schedule", cron)
    if (profile := fields["profile"]) not in packaged_names():
        known = ", ".join(packaged_names())
        problems.append(Violation("policy.profile", f"{profile!r} is no profile; there are {known}"))
    if policy is None or problems:
        message = "; ".join(f"{problem.field}: {problem.description}" for problem in problems)
        raise InvalidInput(f"the policy cannot work: {message}", violations=problems)
    return policy
