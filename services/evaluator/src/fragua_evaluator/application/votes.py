"""Keeping votes, and counting them for a gate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy.engine import Connection

from fragua_evaluator.domain.gate import VoteCount
from fragua_evaluator.domain.report import EvaluationReport
from fragua_evaluator.domain.votes import Vote
from fragua_evaluator.work import report_of
from fragua_platform.database import Database
from fragua_platform.errors import FailedPrecondition, InvalidInput, LimitExceeded, Violation
from fragua_platform.jobs.desk import JobDesk
from fragua_platform.jobs.job import JobState

_MOST_VOTES = 200_000
"""Of one evaluation."""
_MAX_VIOLATIONS = 20


class VoteRecords(Protocol):
    """Calls run inside a transaction of the caller's."""

    def keep(self, connection: Connection, evaluation: str, voter: str, votes: Sequence[Vote]) -> None:
        """Of a person's votes on the same item and arms the last one counts."""
        ...

    def of_evaluation(self, connection: Connection, evaluation: str) -> Sequence[Vote]: ...


class Votes:
    def __init__(self, desk: JobDesk, database: Database, records: VoteRecords) -> None:
        self._desk = desk
        self._database = database
        self._records = records

    async def submit(self, name: str, voter: str, votes: Sequence[Vote], report_digest: str = "") -> int:
        """Keep them all or none; returns how many votes of all people count now.

        `report_digest` is of the report that was voted on, where the voter knows it.
        """
        job = await self._desk.get(name)
        if job.state is not JobState.SUCCEEDED:
            raise FailedPrecondition(f"{name} is {job.state}; it can be voted on once it is SUCCEEDED")
        if report_digest not in ("", job.result["report_digest"]):
            raise FailedPrecondition(
                f"these votes were cast on another report than that of {name}", reason="OTHER_REPORT"
            )
        _refuse_unfit(votes, report_of(job))

        def write(connection: Connection) -> int:
            self._records.keep(connection, name, voter, votes)
            count = len(self._records.of_evaluation(connection, name))
            if count > _MOST_VOTES:
                raise LimitExceeded(f"{name} has {_MOST_VOTES} votes, and no evaluation can have more")
            return count

        return await self._database.run(write)


def _refuse_unfit(votes: Sequence[Vote], report: EvaluationReport) -> None:
    arms = [arm.arm for arm in report.arms]
    suites = [suite.suite for suite in report.arms[0].suites]
    asked = {suite: frozenset(ids) for suite, ids in report.items.items()}
    problems = []
    for place, vote in enumerate(votes):
        if vote.suite not in suites:
            problems.append(Violation(f"votes[{place}].suite", f"{vote.suite!r} is not one of {', '.join(suites)}"))
        elif vote.suite in asked and vote.item not in asked[vote.suite]:
            problem = f"suite {vote.suite} asked no item {vote.item!r}"
            problems.append(Violation(f"votes[{place}].item", problem))
        if unknown := [arm for arm in (vote.left, vote.right) if arm not in arms]:
            problems.append(Violation(f"votes[{place}]", f"{unknown[0]!r} is not one of the arms {', '.join(arms)}"))
    if problems:
        first = problems[0]
        raise InvalidInput(
            f"{len(problems)} votes do not fit; first: {first.field}: {first.description}",
            violations=problems[:_MAX_VIOLATIONS],
        )


def count_votes(votes: Sequence[Vote], report: EvaluationReport) -> VoteCount:
    """Blind ones, of the candidate against any other arm."""
    candidate = report.verdict.candidate if report.verdict else report.arms[-1].arm
    counted = [vote for vote in votes if vote.blind and candidate in (vote.left, vote.right)]
    for_candidate = sum(vote.winner == candidate for vote in counted)
    ties = sum(vote.winner is None for vote in counted)
    return VoteCount(
        candidate=for_candidate,
        other=len(counted) - for_candidate - ties,
        ties=ties,
        items=len({(vote.suite, vote.item) for vote in counted}),
    )
