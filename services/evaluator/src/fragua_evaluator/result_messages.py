"""Results, verdicts and decisions as the protos tell them, for answers and for events alike."""

from __future__ import annotations

from fragua.evaluator.v1 import decision_pb2, result_pb2
from fragua_evaluator.domain.decision import VerificationStatus
from fragua_evaluator.domain.report import ArmReport, EvaluationReport, MetricSummary, PairedComparison, SuiteResult
from fragua_evaluator.domain.verdict import Outcome, Verdict

OUTCOMES = {
    Outcome.GO: result_pb2.VERDICT_OUTCOME_GO,
    Outcome.NO_GO: result_pb2.VERDICT_OUTCOME_NO_GO,
    Outcome.INCONCLUSIVE: result_pb2.VERDICT_OUTCOME_INCONCLUSIVE,
}
_STATUSES = {
    VerificationStatus.PENDING: decision_pb2.VERIFICATION_STATUS_PENDING,
    VerificationStatus.VERIFIED: decision_pb2.VERIFICATION_STATUS_VERIFIED,
    VerificationStatus.REJECTED: decision_pb2.VERIFICATION_STATUS_REJECTED,
    VerificationStatus.UNDECIDED: decision_pb2.VERIFICATION_STATUS_UNDECIDED,
}


def outcome_to_message(outcome: Outcome) -> result_pb2.VerdictOutcome:
    return OUTCOMES[outcome]


def verification_status_to_message(status: VerificationStatus) -> decision_pb2.VerificationStatus:
    return _STATUSES[status]


def result_to_message(report: EvaluationReport) -> result_pb2.EvaluationResult:
    return result_pb2.EvaluationResult(
        arms=[_arm_to_message(arm) for arm in report.arms],
        comparisons=[_comparison_to_message(comparison) for comparison in report.comparisons],
        verdict=verdict_to_message(report.verdict) if report.verdict else None,
    )


def verdict_to_message(verdict: Verdict) -> result_pb2.Verdict:
    return result_pb2.Verdict(
        outcome=outcome_to_message(verdict.outcome),
        policy=verdict.policy,
        baseline=verdict.baseline,
        candidate=verdict.candidate,
        recommended_arm=verdict.recommended_arm or "",
        reasons=[
            result_pb2.VerdictReason(
                criterion=reason.criterion,
                tier=reason.tier.value,
                state=reason.state.value,
                measured=reason.measured,
                threshold=reason.threshold,
                text=reason.text,
            )
            for reason in verdict.reasons
        ],
    )


def _arm_to_message(arm: ArmReport) -> result_pb2.ArmResult:
    return result_pb2.ArmResult(
        arm=arm.arm,
        model=arm.model,
        digest=arm.digest,
        suites=[_suite_to_message(suite) for suite in arm.suites],
        answer_count=arm.answers,
        failed_answer_count=arm.failed_answers,
        cached_answer_count=arm.cached_answers,
        tokens_per_second=arm.tokens_per_second,
        first_token_seconds=arm.first_token_seconds,
        peak_memory_bytes=arm.peak_rss_bytes,
        seconds=arm.seconds,
    )


def _suite_to_message(suite: SuiteResult) -> result_pb2.SuiteResult:
    return result_pb2.SuiteResult(
        suite=suite.suite,
        kind=suite.kind.value,
        item_count=suite.items,
        failed_item_count=suite.failed,
        metrics=[_metric_to_message(metric) for metric in suite.metrics],
        checks=suite.checks,
        perplexity=suite.perplexity,
    )


def _metric_to_message(metric: MetricSummary) -> result_pb2.MetricResult:
    return result_pb2.MetricResult(
        metric=metric.metric,
        score=metric.score,
        score_low=metric.interval.low,
        score_high=metric.interval.high,
        standard_deviation=metric.repeat_sd,
        components=metric.components,
    )


def _comparison_to_message(comparison: PairedComparison) -> result_pb2.Comparison:
    return result_pb2.Comparison(
        suite=comparison.suite,
        metric=comparison.metric,
        baseline=comparison.baseline,
        arm=comparison.arm,
        item_count=comparison.items,
        difference=comparison.difference,
        difference_low=comparison.interval.low,
        difference_high=comparison.interval.high,
        improved=comparison.improved,
        worsened=comparison.worsened,
        tied=comparison.tied,
        test=comparison.test,
        p_value=comparison.p_value,
        adjusted_p_value=comparison.adjusted_p_value,
        effect_size=comparison.effect_size,
        minimum_detectable_effect=comparison.minimum_detectable_effect,
        power=comparison.power,
        baseline_score=comparison.baseline_score,
        arm_score=comparison.arm_score,
    )
