"""An evaluation as clients see it: its job, with what was decided after it had ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fragua_evaluator.application.decisions import DecisionRecords
from fragua_evaluator.domain.decision import Decision
from fragua_platform.database import Database
from fragua_platform.jobs.job import Job


@dataclass(frozen=True)
class EvaluationRecord:
    job: Job
    decisions: Sequence[Decision] = ()
    """Oldest first."""


class Records:
    def __init__(self, database: Database, decisions: DecisionRecords) -> None:
        self._database = database
        self._decisions = decisions

    async def of(self, job: Job) -> EvaluationRecord:
        [record] = await self.of_all([job])
        return record

    async def of_all(self, jobs: Sequence[Job]) -> list[EvaluationRecord]:
        names = [job.name for job in jobs if job.state.terminal]
        if not names:
            return [EvaluationRecord(job) for job in jobs]
        decisions = await self._database.run(lambda connection: self._decisions.of_evaluations(connection, names))
        return [EvaluationRecord(job, decisions.get(job.name, ())) for job in jobs]
