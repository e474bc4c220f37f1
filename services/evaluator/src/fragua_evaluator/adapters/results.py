"""The evaluator's own tables: what finished evaluations found, for whoever compares models with SQL."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.engine import Connection

from fragua.evaluator.v1 import evaluator_events_pb2
from fragua_evaluator.adapters.tables import evaluation_scores, evaluations
from fragua_evaluator.domain.decision import VerificationStatus
from fragua_evaluator.domain.evaluation_order import ResolvedOrder
from fragua_evaluator.result_messages import result_to_message
from fragua_evaluator.work import report_of
from fragua_platform.events.cloudevents import CloudEvent, new_event
from fragua_platform.jobs.job import Job, JobState


def keep_result(connection: Connection, job: Job) -> Sequence[CloudEvent]:
    """The job store's `on_change`: a finished evaluation gets its rows and tells its scores."""
    if job.state is not JobState.SUCCEEDED:
        return []
    adapter, report = ResolvedOrder.model_validate(job.spec).order.adapter, report_of(job)
    verdict = report.verdict
    connection.execute(
        evaluations.insert().values(
            name=job.name,
            branch=job.branch,
            adapter=adapter,
            candidate=verdict.candidate if verdict else report.arms[-1].arm,
            verdict=verdict.outcome.value if verdict else None,
            policy=verdict.policy if verdict else None,
            # R30: only a decision makes it verified.
            verification_status=VerificationStatus.PENDING.value,
            reported=job.ended,
        )
    )
    connection.execute(
        evaluation_scores.insert(),
        [
            {
                "evaluation": job.name,
                "arm": arm.arm,
                "suite": suite.suite,
                "metric": metric.metric,
                "model": arm.model,
                "score": metric.score,
                "score_low": metric.interval.low,
                "score_high": metric.interval.high,
                "item_count": suite.items,
                "failed_item_count": suite.failed,
            }
            for arm in report.arms
            for suite in arm.suites
            for metric in suite.metrics
        ],
    )
    message = evaluator_events_pb2.EvaluationReported(
        evaluation=job.name, branch=job.branch, adapter=adapter, result=result_to_message(report)
    )
    return [new_event(job.branch, "evaluator", "evaluation", "reported", message, traceparent=job.traceparent)]
