"""What the trainer does when it hears of something. One table to read."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from fragua.evaluator.v1 import decision_pb2, evaluator_events_pb2, result_pb2
from fragua_platform.database import Database
from fragua_platform.events.cloudevents import CloudEvent, body_as
from fragua_platform.events.outbox import Inbox
from fragua_platform.runtime import Reaction
from fragua_trainer.application import ModelRegistry
from fragua_trainer.domain.registry import AdapterScore

_SCORES = "trainer-scores"


def reactions(database: Database, inbox: Inbox, registry: ModelRegistry) -> list[Reaction]:
    async def keep(event: CloudEvent) -> None:
        await database.run(lambda connection: _keep(connection, inbox, registry, event))

    # One durable for both: a decision is never heard before the scores that it is about.
    subjects = tuple(f"fragua.v1.*.evaluator.evaluation.{name}" for name in ("reported", "decided"))
    return [Reaction(_SCORES, subjects, keep)]


def _keep(connection: Connection, inbox: Inbox, registry: ModelRegistry, event: CloudEvent) -> None:
    if not inbox.first_time(connection, _SCORES, event.id):
        return
    if event.subject.endswith(".decided"):
        _keep_decision(connection, registry, body_as(event, evaluator_events_pb2.EvaluationDecided))
    else:
        _keep_score(connection, registry, body_as(event, evaluator_events_pb2.EvaluationReported))


def _keep_score(
    connection: Connection, registry: ModelRegistry, report: evaluator_events_pb2.EvaluationReported
) -> None:
    """Show an evaluation's scores beside the adapter that it measured."""
    if not report.adapter:
        return  # it compared other models
    _, branch, _, number = report.adapter.split("/")
    registry.add_score(connection, registry.adapter(connection, branch, int(number)), _score(report))


def _score(report: evaluator_events_pb2.EvaluationReported) -> AdapterScore:
    arms, verdict = list(report.result.arms), report.result.verdict
    judged = next((arm for arm in arms if arm.arm == verdict.candidate), arms[-1])
    baseline = next((arm for arm in arms if arm.arm == verdict.baseline), arms[0])
    suite = judged.suites[0]
    return AdapterScore(
        evaluation=report.evaluation,
        suite=suite.suite,
        metric=suite.metrics[0].metric,
        base_score=baseline.suites[0].metrics[0].score,
        tuned_score=suite.metrics[0].score,
        item_count=suite.item_count,
        verdict=_outcome(verdict) if report.result.HasField("verdict") else "",
        reasons=tuple(reason.text for reason in verdict.reasons),
    )


def _outcome(verdict: result_pb2.Verdict) -> str:
    return result_pb2.VerdictOutcome.Name(verdict.outcome).removeprefix("VERDICT_OUTCOME_")


def _keep_decision(
    connection: Connection, registry: ModelRegistry, decided: evaluator_events_pb2.EvaluationDecided
) -> None:
    """Show beside the adapter what somebody decided on it."""
    status = decision_pb2.VerificationStatus.Name(decided.verification_status)
    registry.set_verification(connection, decided.evaluation, status.removeprefix("VERIFICATION_STATUS_").lower())
