"""Finds in a report what a criterion of a gate policy looks at, with its 95 % interval where there is one."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fragua_evaluator.domain.gate_policy import COMPONENT, Criterion
from fragua_evaluator.domain.report import (
    ArmReport,
    EvaluationReport,
    Interval,
    MetricSummary,
    PairedComparison,
    SuiteResult,
)

_Z = 1.959964
_GIB = 2**30


@dataclass(frozen=True)
class Measured:
    value: float
    interval: Interval | None
    """None where the value does not come from a sample of items."""
    items: int | None


def measure(report: EvaluationReport, arm: ArmReport, criterion: Criterion) -> Measured | None:
    """None when it was not measured: no such suite, no such metric, or not known of this arm."""
    match criterion.measure:
        case "tokens_per_second":
            return _of_the_arm(arm.tokens_per_second)
        case "first_token_seconds":
            return _of_the_arm(arm.first_token_seconds)
        case "peak_rss_gib":
            return _of_the_arm(None if arm.peak_rss_bytes is None else arm.peak_rss_bytes / _GIB)
        case "failed_share" if criterion.suite is None:
            return _of_the_arm(arm.failed_answers / arm.answers if arm.answers else None)
    suite = arm.suite(criterion.suite or main_suite(report))
    return None if suite is None else _of_the_suite(report, arm, suite, criterion)


def main_suite(report: EvaluationReport) -> str:
    """The first of the evaluation."""
    return next((suite.suite for arm in report.arms for suite in arm.suites), "")


def comparison(report: EvaluationReport, suite: str, baseline: str, arm: str) -> PairedComparison | None:
    return next((c for c in report.comparisons if (c.suite, c.baseline, c.arm) == (suite, baseline, arm)), None)


def wilson(share: float, items: int) -> Interval:
    """Of a share of the items. Of a mean of scores between 0 and 1 it is no narrower than it should be: nothing spreads
    more than yes and no."""
    center = (share + _Z**2 / (2 * items)) / (1 + _Z**2 / items)
    reach = _Z / (1 + _Z**2 / items) * math.sqrt(share * (1 - share) / items + _Z**2 / (4 * items**2))
    return Interval(low=max(0.0, center - reach), high=min(1.0, center + reach))


def _of_the_arm(value: float | None) -> Measured | None:
    return None if value is None else Measured(value, None, None)


def _of_the_suite(
    report: EvaluationReport, arm: ArmReport, suite: SuiteResult, criterion: Criterion
) -> Measured | None:
    summary = _summary(suite, criterion.metric)
    match criterion.measure:
        case "score":
            return None if summary is None else Measured(summary.score, summary.interval, suite.items)
        case "failed_share":
            return Measured(suite.failed / suite.items, None, suite.items) if suite.items else None
        case "perplexity":
            return None if suite.perplexity is None else Measured(suite.perplexity, None, suite.items)
        case "improvement_points" | "improvement_relative":
            return _improvement(report, arm, suite, relative=criterion.measure == "improvement_relative")
        case component if component.startswith(COMPONENT):
            components = {} if summary is None else summary.components
            return _share(components.get(component.removeprefix(COMPONENT)), suite)
        case check:
            return _share(suite.checks.get(check), suite)


def _summary(suite: SuiteResult, metric: str) -> MetricSummary | None:
    return next((summary for summary in suite.metrics if metric in ("", summary.metric)), None)


def _share(value: float | None, suite: SuiteResult) -> Measured | None:
    if value is None or not suite.items:
        return None
    # A component of somebody's own metric may be any number.
    return Measured(value, wilson(value, suite.items) if 0 <= value <= 1 else None, suite.items)


def _improvement(report: EvaluationReport, arm: ArmReport, suite: SuiteResult, *, relative: bool) -> Measured | None:
    compared = comparison(report, suite.suite, report.arms[0].arm, arm.arm)
    if compared is None or (relative and compared.baseline_score == 0):
        return None
    part = abs(compared.baseline_score) if relative else 1.0
    interval = Interval(low=compared.interval.low / part, high=compared.interval.high / part)
    return Measured(compared.difference / part, interval, compared.items)
