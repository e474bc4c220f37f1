"""The evaluator's own table: one row per finished evaluation, for whoever compares adapters with SQL."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.engine import Connection

from fragua.evaluator.v1 import evaluator_events_pb2
from fragua_evaluator.adapters.tables import evaluations
from fragua_evaluator.domain.evaluation_order import ResolvedOrder
from fragua_evaluator.domain.evaluation_spec import Arm
from fragua_evaluator.result_messages import metric_to_message, result_to_message
from fragua_evaluator.work import report_of
from fragua_platform.events.cloudevents import CloudEvent, new_event
from fragua_platform.jobs.job import Job, JobState


def keep_result(connection: Connection, job: Job) -> Sequence[CloudEvent]:
    """The job store's `on_change`: a finished evaluation gets its row and tells its scores."""
    if job.state is not JobState.SUCCEEDED:
        return []
    resolved, report = ResolvedOrder.model_validate(job.spec), report_of(job)
    base, tuned = report.arms[Arm.BASE], report.arms[Arm.TUNED]
    connection.execute(
        evaluations.insert().values(
            name=job.name,
            branch=job.branch,
            adapter=resolved.order.adapter,
            dataset_version=resolved.dataset_version,
            metric=report.spec.metric.value,
            item_count=tuned.n,
            base_score=base.score,
            tuned_score=tuned.score,
            p_value=report.paired.p_value,
            reported=job.ended,
        )
    )
    message = evaluator_events_pb2.EvaluationReported(
        evaluation=job.name,
        branch=job.branch,
        adapter=resolved.order.adapter,
        metric=metric_to_message(report.spec.metric),
        result=result_to_message(report),
    )
    return [new_event(job.branch, "evaluator", "evaluation", "reported", message, traceparent=job.traceparent)]
