"""Between the protos of `fragua.evaluator.v1` and the evaluator's own data."""

from __future__ import annotations

from typing import Any

from fragua.evaluator.v1 import evaluator_pb2
from fragua_evaluator.domain.evaluation_order import EvaluationOrder, ResolvedOrder
from fragua_evaluator.domain.evaluation_spec import EvaluationSpec, Metric
from fragua_evaluator.result_messages import metric_to_message, result_to_message
from fragua_evaluator.work import bundle_of, report_of
from fragua_platform.jobs.events import status_to_message
from fragua_platform.jobs.job import Job
from fragua_platform.messages import bundle_to_message

_METRICS = {
    evaluator_pb2.METRIC_UNSPECIFIED: Metric.EXACT_MATCH,
    evaluator_pb2.METRIC_EXACT_MATCH: Metric.EXACT_MATCH,
    evaluator_pb2.METRIC_TOKEN_F1: Metric.TOKEN_F1,
    evaluator_pb2.METRIC_CONTAINS: Metric.CONTAINS,
}


def order_from_message(message: evaluator_pb2.Evaluation) -> EvaluationOrder:
    """Absent fields take the defaults of the specification, which are documented there."""
    given: dict[str, Any] = {}
    for name in ("max_items", "max_new_tokens"):
        if message.HasField(name):
            given[name] = getattr(message, name)
    spec = EvaluationSpec(metric=_METRICS[message.metric], seed=message.seed, **given)
    return EvaluationOrder(adapter=message.adapter, dataset_version=message.dataset_version, spec=spec)


def evaluation_to_message(job: Job) -> evaluator_pb2.Evaluation:
    resolved, bundle = ResolvedOrder.model_validate(job.spec), bundle_of(job)
    spec = resolved.order.spec
    return evaluator_pb2.Evaluation(
        name=job.name,
        adapter=resolved.order.adapter,
        dataset_version=resolved.dataset_version,
        metric=metric_to_message(spec.metric),
        max_items=spec.max_items,
        max_new_tokens=spec.max_new_tokens,
        seed=spec.seed,
        status=status_to_message(job),
        result=result_to_message(report_of(job)) if bundle else None,
        bundle=bundle_to_message(bundle) if bundle else None,
    )
