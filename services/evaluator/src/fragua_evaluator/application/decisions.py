"""The door to `verified`: a policy's verdict is recorded, or overridden by somebody with the right to do so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from sqlalchemy.engine import Connection

from fragua_evaluator.application.votes import VoteRecords, count_votes
from fragua_evaluator.domain.decision import OVERRIDE_KIND, Decision, override_digest
from fragua_evaluator.domain.evaluation_order import ResolvedOrder
from fragua_evaluator.domain.gate import judge
from fragua_evaluator.domain.verdict import Outcome
from fragua_evaluator.work import report_of
from fragua_platform.artifacts.signatures import signature_fits
from fragua_platform.database import Database
from fragua_platform.errors import FailedPrecondition, InvalidInput, LimitExceeded, Violation
from fragua_platform.jobs.desk import JobDesk
from fragua_platform.jobs.job import Job, JobState

_MOST_DECISIONS = 256


class DecisionRecords(Protocol):
    """Calls run inside a transaction of the caller's. Nothing is ever changed or removed."""

    def add(self, connection: Connection, job: Job, number: int, decision: Decision) -> None:
        """Keep the `number`-th decision, set the evaluation's verification status, and tell the event. Raises Unavailable when
        somebody else decided this very moment."""
        ...

    def of_evaluations(self, connection: Connection, names: Sequence[str]) -> Mapping[str, Sequence[Decision]]:
        """Oldest first; evaluations without any are left out."""
        ...


@dataclass(frozen=True)
class Override:
    outcome: Outcome
    signature: bytes


class Decisions:
    def __init__(
        self,
        desk: JobDesk,
        database: Database,
        records: DecisionRecords,
        votes: VoteRecords,
        overriders: Mapping[str, bytes],
    ) -> None:
        """`overriders` are the public keys of those who may override a verdict, by name."""
        self._desk = desk
        self._database = database
        self._records = records
        self._votes = votes
        self._overriders = overriders

    async def decide(self, name: str, decided_by: str, reason: str, override: Override | None) -> Job:
        """What the policy says with the votes so far, or what `override` says. The same decision again changes nothing."""
        job = await self._desk.get(name)
        if job.state is not JobState.SUCCEEDED:
            raise FailedPrecondition(f"{name} is {job.state}; it can be decided once it is SUCCEEDED")
        policy = ResolvedOrder.model_validate(job.spec).spec.policy
        if policy is None:
            raise FailedPrecondition(f"{name} was ordered without a gate policy, so there is nothing to decide by")
        if override is not None:
            self._refuse_override(name, decided_by, reason, override)

        def write(connection: Connection) -> None:
            report = report_of(job)
            verdict = judge(policy, report, count_votes(self._votes.of_evaluation(connection, name), report))
            outcome = override.outcome if override else verdict.outcome
            decision = Decision(outcome, verdict, decided_by, reason, datetime.now(UTC))
            known = self._records.of_evaluations(connection, [name]).get(name, ())
            if known and _same(known[-1], decision):
                return  # the same call again, because its first answer was lost
            if len(known) >= _MOST_DECISIONS:
                raise LimitExceeded(f"{name} has {_MOST_DECISIONS} decisions, and no evaluation can have more")
            self._records.add(connection, job, len(known) + 1, decision)

        await self._database.run(write)
        return job

    def _refuse_override(self, name: str, decided_by: str, reason: str, override: Override) -> None:
        problems = []
        if not reason.strip():
            problems.append(Violation("reason", "an override needs a reason, which stays visible"))
        key = self._overriders.get(decided_by)
        if key is None:
            problem = f"{decided_by!r} may not override; an operator can add name and key to FRAGUA_OVERRIDE_KEYS"
            problems.append(Violation("decided_by", problem))
        else:
            digest = override_digest(override.outcome, decided_by, reason)
            if not signature_fits(OVERRIDE_KIND, name, digest, key, override.signature):
                problem = f"does not fit {name}, this outcome, name and reason, and the key of {decided_by!r}"
                problems.append(Violation("override_signature", problem))
        if problems:
            message = "; ".join(f"{problem.field}: {problem.description}" for problem in problems)
            raise InvalidInput(f"the override is refused: {message}", violations=problems, reason="OVERRIDE_REFUSED")


def _same(one: Decision, other: Decision) -> bool:
    return (one.outcome, one.decided_by, one.reason, one.verdict) == (
        other.outcome,
        other.decided_by,
        other.reason,
        other.verdict,
    )
