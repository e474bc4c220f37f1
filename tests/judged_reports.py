"""Reports of evaluations, made from scores by the statistics themselves, for the tests of what judges them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean

from fragua_evaluator.domain.report import (
    ArmReport,
    EvaluationReport,
    Fairness,
    Interval,
    MetricSummary,
    PairedComparison,
    SuiteResult,
)
from fragua_evaluator.domain.suite import SuiteKind
from fragua_evaluator.scoring.statistics import adjust, compare_arms, mean_interval

METRIC = "exact_match"


@dataclass(frozen=True)
class Measures:
    """What an arm has besides scores; by suite, what belongs to one."""

    tokens_per_second: float | None = 20.0
    peak_gib: float | None = 4.0
    failed_share: float = 0.0
    checks: Mapping[str, float] = field(default_factory=dict)
    components: Mapping[str, float] = field(default_factory=dict)
    perplexity: float | None = None


def report_of(
    scores: Mapping[str, Mapping[str, Sequence[float]]],
    measures: Mapping[str, Measures] | None = None,
    *,
    graded: bool = False,
) -> EvaluationReport:
    """From the scores by suite and arm; the first suite's arms are those of the evaluation, in their order."""
    arms = list(next(iter(scores.values())))
    comparisons: list[PairedComparison] = []
    for suite, of_arms in scores.items():
        comparisons += compare_arms(suite, METRIC, graded, of_arms, seed=0, min_improvement=0.05)
    return EvaluationReport(
        arms=tuple(_arm(arm, scores, (measures or {}).get(arm, Measures()), graded) for arm in arms),
        comparisons=adjust(comparisons),
        fairness=Fairness(same={}, different={}),
        verdict=None,
        error_analysis=None,
        spec={},
        provenance={},
        versions={},
        duration_seconds=1.0,
    )


def right(count: int, of: int) -> list[float]:
    """So many right answers, first."""
    return [1.0] * count + [0.0] * (of - count)


def _arm(arm: str, scores: Mapping[str, Mapping[str, Sequence[float]]], measures: Measures, graded: bool) -> ArmReport:
    suites = tuple(_suite(suite, of_arms[arm], measures, graded) for suite, of_arms in scores.items() if arm in of_arms)
    answers = sum(suite.items for suite in suites)
    return ArmReport(
        arm=arm,
        model=arm,
        digest="0" * 64,
        suites=suites,
        answers=answers,
        failed_answers=round(measures.failed_share * answers),
        cached_answers=0,
        tokens=1000,
        seconds=10.0,
        tokens_per_second=measures.tokens_per_second,
        first_token_seconds=0.1,
        peak_rss_bytes=None if measures.peak_gib is None else int(measures.peak_gib * 2**30),
        conditions={},
    )


def _suite(name: str, scores: Sequence[float], measures: Measures, graded: bool) -> SuiteResult:
    items = len(scores)
    interval = mean_interval(scores, graded=graded, seed=0) if items else Interval(low=0, high=1)
    return SuiteResult(
        suite=name,
        kind=SuiteKind.GENERATION,
        items=items,
        failed=round(measures.failed_share * items),
        metrics=(
            MetricSummary(
                metric=METRIC,
                graded=graded,
                score=mean(scores),
                interval=interval,
                repeat_scores=(mean(scores),),
                repeat_sd=None,
                components=dict(measures.components),
                by_tag={},
            ),
        ),
        checks=dict(measures.checks),
        perplexity=measures.perplexity,
    )
