"""What every document says about a report, worked out once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fragua_evaluator.domain.frozen import Frozen
from fragua_evaluator.domain.report import (
    ArmReport,
    EvaluationReport,
    ItemRecord,
    MetricSummary,
    PairedComparison,
    SuiteResult,
)
from fragua_evaluator.domain.suite import SuiteKind
from fragua_evaluator.domain.verdict import Reason, ReasonState, Tier
from fragua_evaluator.scoring.documents import numbers

Items = Callable[[], Iterator[ItemRecord]]
"""Reads `items.jsonl` from its beginning, each time it is called."""

_TIERS = list(Tier)
_STATES = [ReasonState.UNMET, ReasonState.UNDECIDED, ReasonState.NOT_MEASURED, ReasonState.MET]


@dataclass
class CheckMean:
    """The mean of one check over the items that have it."""

    total: float = 0.0
    items: int = 0

    def add(self, value: float) -> None:
        self.total += value
        self.items += 1

    @property
    def mean(self) -> float | None:
        return self.total / self.items if self.items else None


@dataclass
class ItemFacts:
    """What only the items tell: how many there are, and each arm's checks over all suites."""

    items: int = 0
    checks: dict[str, dict[str, CheckMean]] = field(default_factory=dict)

    def add(self, item: ItemRecord) -> None:
        self.items += 1
        for arm, result in item.arms.items():
            means = self.checks.setdefault(arm, {})
            for name, value in result.checks.items():
                means.setdefault(name, CheckMean()).add(value)

    def check(self, arm: str, name: str) -> float | None:
        mean = self.checks.get(arm, {}).get(name)
        return mean.mean if mean else None


def gather_facts(items: Iterable[ItemRecord]) -> ItemFacts:
    facts = ItemFacts()
    for item in items:
        facts.add(item)
    return facts


def evaluation_name(report: EvaluationReport) -> str:
    """Its resource name; empty for an engine that was run by hand."""
    return str(report.spec.get("evaluation") or report.provenance.get("evaluation", ""))


def seed(report: EvaluationReport) -> int:
    value = report.spec.get("seed", 0)
    return value if isinstance(value, int) and 0 <= value < 2**63 else 0


def decisive_pair(report: EvaluationReport) -> tuple[str, str]:
    """The baseline and the candidate of the verdict; without one, the first and the last arm."""
    names = [arm.arm for arm in report.arms]
    verdict = report.verdict
    if verdict and verdict.baseline in names and verdict.candidate in names and verdict.baseline != verdict.candidate:
        return verdict.baseline, verdict.candidate
    return names[0], names[-1]


def favourite(report: EvaluationReport) -> str | None:
    """The arm that a reader looks for: the candidate, or the winner of a selection."""
    if selects(report):
        return report.verdict.recommended_arm if report.verdict else None
    return decisive_pair(report)[1]


def role(report: EvaluationReport, arm: str) -> str:
    """`baseline`, `simpler`, `candidate`; `contender` where one of several equals is selected."""
    if selects(report):
        return "contender"
    baseline, candidate = decisive_pair(report)
    return "candidate" if arm == candidate else "baseline" if arm == baseline else "simpler"


def selects(report: EvaluationReport) -> bool:
    """Whether the policy looks for the best of several equals, and not for one that replaces another."""
    policy = report.spec.get("policy")
    return isinstance(policy, Mapping) and policy.get("selection") is not None


def selected_by(report: EvaluationReport) -> str | None:
    """The suite that a selecting policy goes by: the one that it names, or the first."""
    if not selects(report):
        return None
    return report.spec["policy"]["selection"].get("suite") or next(iter(suite_names(report)), None)


def compares_base_models(report: EvaluationReport) -> bool:
    """Whether the policy selects, or no arm has an adapter or a prompt of its own."""
    arms = report.spec.get("arms")
    return selects(report) or (isinstance(arms, list | tuple) and bool(arms) and all(map(_is_base_model, arms)))


def _is_base_model(arm: Any) -> bool:
    if not isinstance(arm, Mapping) or not isinstance(arm.get("target"), Mapping):
        return False
    target = arm["target"]
    prompting = arm.get("prompting") or {}
    asked_plainly = not (prompting.get("system") or prompting.get("demonstrations"))
    return asked_plainly and target.get("kind", "model") == "model" and not target.get("adapter")


def suite_names(report: EvaluationReport) -> list[str]:
    """In the order of the report."""
    return list(dict.fromkeys(suite.suite for arm in report.arms for suite in arm.suites))


def first_metric(suite: SuiteResult | None) -> MetricSummary | None:
    """The one that arms are compared by."""
    return suite.metrics[0] if suite and suite.metrics else None


def average_score(arm: ArmReport) -> float | None:
    """The mean of the first metric over all items of all suites that are scored from 0 to 1."""
    parts = [(suite.items, suite.metrics[0].score) for suite in arm.suites if is_scored(suite)]
    items = sum(number for number, _ in parts)
    return sum(number * mean for number, mean in parts) / items if items else None


def average_repeats(arm: ArmReport) -> tuple[float, ...]:
    """`average_score` of each repeat; empty where suites differ in their number of repeats."""
    parts = [(suite.items, suite.metrics[0].repeat_scores) for suite in arm.suites if is_scored(suite)]
    items = sum(number for number, _ in parts)
    if not items or len({len(scores) for _, scores in parts}) != 1:
        return ()
    repeats = zip(*(scores for _, scores in parts), strict=True)
    return tuple(
        sum(number * mean for (number, _), mean in zip(parts, means, strict=True)) / items for means in repeats
    )


def is_scored(suite: SuiteResult) -> bool:
    return bool(suite.metrics) and suite.kind is not SuiteKind.PERPLEXITY


Rows = list[tuple[str, list[float | None]]]
"""A name, and a figure for each arm."""


ALL_METRICS = "All metrics"


def breakdowns(report: EvaluationReport, suite: str) -> list[tuple[str, Rows]]:
    """A suite's figures told apart by component, by tag and by check, each as a title and rows; what adds nothing is
    left out."""
    results = [arm.suite(suite) for arm in report.arms]
    metric = compared_metric(report, suite)
    firsts = [first_metric(result) for result in results]
    # One metric, and one tag alone, say what stands in the table of scores already.
    tables = [
        (ALL_METRICS, 2, _all_metrics(results)),
        (f"Components of {metric}", 1, [first.components if first else {} for first in firsts]),
        (f"{metric} by tag", 2, [first.by_tag if first else {} for first in firsts]),
        ("Checks of every answer", 1, [result.checks if result else {} for result in results]),
    ]
    return [(title, rows) for title, least, columns in tables if len(rows := _rows(columns)) >= least]


def _all_metrics(results: list[SuiteResult | None]) -> list[dict[str, float]]:
    """A score of 0 and no score look alike, so a metric that could not score is told as such."""
    failed = Counter[str]()
    for result in results:
        for metric in result.metrics if result else ():
            failed[metric.metric] += metric.failed
    titles = {name: f"{name} ({numbers.count(times)} without a score)" for name, times in failed.items() if times}
    return [{titles.get(m.metric, m.metric): m.score for m in result.metrics} if result else {} for result in results]


def compared_metric(report: EvaluationReport, suite: str) -> str:
    """The metric that a suite's arms are compared by."""
    return next((found.metric for arm in report.arms if (found := first_metric(arm.suite(suite)))), "")


def _rows(columns: list[dict[str, float]]) -> Rows:
    names = dict.fromkeys(name for column in columns for name in column)
    return [(name or "(none)", [column.get(name) for column in columns]) for name in names]


def sorted_reasons(reasons: Iterable[Reason]) -> list[Reason]:
    """What weighs most comes first, and within a tier what is not well."""
    return sorted(reasons, key=lambda reason: (_TIERS.index(reason.tier), _STATES.index(reason.state)))


def failure_note(arm: ArmReport) -> str:
    return f"{arm.failed_answers} of {arm.answers} answers failed" if arm.failed_answers else ""


class Expectation(Frozen):
    """The difference that new items of the same kind may show: the ends and the middle of its 95 % interval."""

    suite: str
    baseline: str
    arm: str
    pessimistic: float
    realistic: float
    optimistic: float


def expectations(report: EvaluationReport) -> list[Expectation]:
    """R100. One for each suite, of the decisive pair."""
    return [
        Expectation(
            suite=comparison.suite,
            baseline=comparison.baseline,
            arm=comparison.arm,
            pessimistic=comparison.interval.low,
            realistic=comparison.difference,
            optimistic=comparison.interval.high,
        )
        for comparison in report.comparisons
        if is_decisive(report, comparison)
    ]


def is_decisive(report: EvaluationReport, comparison: PairedComparison) -> bool:
    return {comparison.baseline, comparison.arm} == set(decisive_pair(report))


def headline(report: EvaluationReport) -> str:
    """The verdict in one sentence."""
    verdict = report.verdict
    if verdict is None:
        return "One arm alone was measured." if len(report.arms) == 1 else "No policy was named, so nothing is decided."
    if selects(report):
        if verdict.recommended_arm:
            return f"Use {verdict.recommended_arm} as the base model."
        undecided = verdict.outcome == "INCONCLUSIVE"
        return "There is not enough data to select a model." if undecided else "None of the models meets the rule."
    if verdict.outcome == "GO":
        return f"Use {verdict.candidate} in place of {verdict.baseline}."
    keep = f"Keep {verdict.recommended_arm}" if verdict.recommended_arm else "Keep what is in use"
    if verdict.outcome == "NO_GO":
        return f"{keep}; {verdict.candidate} does not replace it."
    return f"{keep} for now: these data neither prove nor rule out that {verdict.candidate} should replace it."


def readable(name: str) -> str:
    """`no_role_tokens` → `no role tokens`."""
    return re.sub(r"[_-]+", " ", name)
