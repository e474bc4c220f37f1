"""`3way_comparison.json`: baseline, optimised prompt and fine-tuned model beside each other."""

from __future__ import annotations

from statistics import stdev

from fragua_evaluator.domain.frozen import Frozen
from fragua_evaluator.domain.report import (
    ArmReport,
    EvaluationReport,
    Fairness,
    Interval,
    MetricSummary,
    PairedComparison,
)
from fragua_evaluator.domain.verdict import Verdict
from fragua_evaluator.scoring.documents.summary import (
    Expectation,
    ItemFacts,
    average_repeats,
    average_score,
    evaluation_name,
    expectations,
    is_scored,
    role,
)

THREE_WAY_FILE = "3way_comparison.json"


class ArmOfSuite(Frozen):
    """One arm over one suite, by the suite's first metric."""

    suite: str
    metric: str
    items: int
    failed: int
    score: float
    interval: Interval
    """95 %, over the items."""
    repeat_scores: tuple[float, ...]
    repeat_sd: float | None
    components: dict[str, float]


class ArmOfThree(Frozen):
    arm: str
    role: str
    """`baseline`, `simpler` (between the two, e.g. an optimised prompt) or `candidate`."""
    model: str
    avg_score: float | None
    """Mean of the suites' first metrics over all items, 0 to 1; perplexity has no part in it."""
    sd: float | None
    """Standard deviation of `avg_score` over the repeats; None with a single one."""
    repeats: int
    elapsed_sec: float
    tokens_per_sec: float | None
    ram_usage_gb: float | None
    """Peak, in units of 2³⁰ bytes."""
    yaml_valid_rate: float | None
    completeness: float | None
    suites: tuple[ArmOfSuite, ...]


class ThreeWayComparison(Frozen):
    evaluation: str
    arms: tuple[ArmOfThree, ...]
    comparisons: tuple[PairedComparison, ...]
    """As in `report.json`: difference, interval, tests, Cohen's d, power."""
    expectations: tuple[Expectation, ...]
    """Of the candidate against the baseline, suite by suite."""
    fairness: Fairness
    decision: Verdict | None


# R100
def make_three_way(report: EvaluationReport, facts: ItemFacts) -> ThreeWayComparison:
    return ThreeWayComparison(
        evaluation=evaluation_name(report),
        arms=tuple(_arm_of_three(report, arm, facts) for arm in report.arms),
        comparisons=report.comparisons,
        expectations=tuple(expectations(report)),
        fairness=report.fairness,
        decision=report.verdict,
    )


def _arm_of_three(report: EvaluationReport, arm: ArmReport, facts: ItemFacts) -> ArmOfThree:
    repeats = average_repeats(arm)
    return ArmOfThree(
        arm=arm.arm,
        role=role(report, arm.arm),
        model=arm.model,
        avg_score=average_score(arm),
        sd=stdev(repeats) if len(repeats) > 1 else None,
        repeats=max((len(metric.repeat_scores) for suite in arm.suites for metric in suite.metrics), default=0),
        elapsed_sec=arm.seconds,
        tokens_per_sec=arm.tokens_per_second,
        ram_usage_gb=None if arm.peak_rss_bytes is None else round(arm.peak_rss_bytes / 2**30, 3),
        yaml_valid_rate=facts.check(arm.arm, "valid"),
        completeness=facts.check(arm.arm, "complete"),
        suites=tuple(
            _arm_of_suite(suite.suite, suite.items, suite.failed, suite.metrics[0])
            for suite in arm.suites
            if is_scored(suite)
        ),
    )


def _arm_of_suite(suite: str, items: int, failed: int, metric: MetricSummary) -> ArmOfSuite:
    return ArmOfSuite(
        suite=suite,
        metric=metric.metric,
        items=items,
        failed=failed,
        score=metric.score,
        interval=metric.interval,
        repeat_scores=metric.repeat_scores,
        repeat_sd=metric.repeat_sd,
        components=metric.components,
    )
