"""Decisions and votes on evaluations, in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fragua.evaluator.v1 import evaluator_events_pb2
from fragua_evaluator.adapters.tables import evaluation_decisions, evaluation_votes, evaluations, metadata
from fragua_evaluator.domain.decision import Decision, verification_status
from fragua_evaluator.domain.evaluation_order import ResolvedOrder
from fragua_evaluator.domain.verdict import Outcome, Verdict
from fragua_evaluator.domain.votes import Preference, Vote
from fragua_evaluator.result_messages import outcome_to_message, verification_status_to_message
from fragua_platform.errors import Unavailable
from fragua_platform.events.cloudevents import new_event
from fragua_platform.events.outbox import Outbox
from fragua_platform.jobs.job import Job

_outbox = Outbox(metadata.tables["outbox"])


class DecisionTable:
    """Implements `DecisionRecords` of the application."""

    def add(self, connection: Connection, job: Job, number: int, decision: Decision) -> None:
        try:
            connection.execute(
                evaluation_decisions.insert().values(
                    evaluation=job.name,
                    number=number,
                    outcome=decision.outcome.value,
                    overridden=decision.overridden,
                    decided_by=decision.decided_by,
                    reason=decision.reason,
                    verdict=decision.verdict.model_dump(mode="json"),
                    decided=decision.decided,
                )
            )
        except sa.exc.IntegrityError as raced:
            raise Unavailable(
                f"somebody else decided on {job.name} this very moment; look, and decide again"
            ) from raced
        status = verification_status([decision])
        query = evaluations.update().where(evaluations.c.name == job.name)
        connection.execute(query.values(verification_status=status.value))
        message = evaluator_events_pb2.EvaluationDecided(
            evaluation=job.name,
            branch=job.branch,
            adapter=ResolvedOrder.model_validate(job.spec).order.adapter,
            outcome=outcome_to_message(decision.outcome),
            overridden=decision.overridden,
            verification_status=verification_status_to_message(status),
            policy=decision.verdict.policy,
        )
        _outbox.add_event(connection, new_event(job.branch, "evaluator", "evaluation", "decided", message))

    def of_evaluations(self, connection: Connection, names: Sequence[str]) -> Mapping[str, Sequence[Decision]]:
        table = evaluation_decisions
        query = table.select().where(table.c.evaluation.in_(names)).order_by(table.c.evaluation, table.c.number)
        found: dict[str, list[Decision]] = {}
        for row in connection.execute(query):
            verdict = Verdict.model_validate(row.verdict)
            decision = Decision(Outcome(row.outcome), verdict, row.decided_by, row.reason, row.decided)
            found.setdefault(row.evaluation, []).append(decision)
        return found


class VoteTable:
    """Implements `VoteRecords` of the application."""

    def keep(self, connection: Connection, evaluation: str, voter: str, votes: Sequence[Vote]) -> None:
        table = evaluation_votes
        for vote in votes:
            arms = " ".join(sorted((vote.left, vote.right)))
            place = {"evaluation": evaluation, "voter": voter, "suite": vote.suite, "item": vote.item, "arms": arms}
            connection.execute(table.delete().where(*(table.c[name] == value for name, value in place.items())))
            said = {
                "left": vote.left,
                "right": vote.right,
                "preferred": vote.preferred.value,
                "blind": vote.blind,
                "note": vote.note,
            }
            connection.execute(table.insert().values(**place, **said))

    def of_evaluation(self, connection: Connection, evaluation: str) -> Sequence[Vote]:
        query = evaluation_votes.select().where(evaluation_votes.c.evaluation == evaluation)
        return [
            Vote(
                suite=row.suite,
                item=row.item,
                left=row.left,
                right=row.right,
                preferred=Preference(row.preferred),
                blind=row.blind,
                note=row.note,
            )
            for row in connection.execute(query)
        ]
