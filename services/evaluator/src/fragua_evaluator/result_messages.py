"""Scores as the protos tell them, for answers and for events alike."""

from __future__ import annotations

from fragua.evaluator.v1 import evaluator_pb2
from fragua_evaluator.domain.evaluation_spec import Arm, ArmReport, EvaluationReport, Metric

_METRICS = {
    Metric.EXACT_MATCH: evaluator_pb2.METRIC_EXACT_MATCH,
    Metric.TOKEN_F1: evaluator_pb2.METRIC_TOKEN_F1,
    Metric.CONTAINS: evaluator_pb2.METRIC_CONTAINS,
}


def metric_to_message(metric: Metric) -> evaluator_pb2.Metric:
    return _METRICS[metric]


def result_to_message(report: EvaluationReport) -> evaluator_pb2.EvaluationResult:
    paired = report.paired
    return evaluator_pb2.EvaluationResult(
        base=_arm_to_message(report.arms[Arm.BASE]),
        tuned=_arm_to_message(report.arms[Arm.TUNED]),
        paired=evaluator_pb2.PairedResult(
            improved=paired.improved,
            worsened=paired.worsened,
            tied=paired.tied,
            p_value=paired.p_value,
            test=paired.test,
        ),
    )


def _arm_to_message(arm: ArmReport) -> evaluator_pb2.ArmResult:
    return evaluator_pb2.ArmResult(
        score=arm.score,
        score_low=arm.ci95[0],
        score_high=arm.ci95[1],
        item_count=arm.n,
        tokens_per_second=arm.tokens_per_second,
        stopped_rate=arm.stopped_rate,
    )
