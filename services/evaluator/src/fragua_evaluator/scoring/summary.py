"""Adds up items: what each arm made of each suite, what it cost, and how the arms compare."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median, stdev

from fragua_evaluator.domain.evaluation_spec import EvaluationSpec
from fragua_evaluator.domain.report import (
    ArmItem,
    ArmReport,
    Ending,
    ItemRecord,
    MetricSummary,
    PairedComparison,
    SuiteResult,
)
from fragua_evaluator.domain.suite import SuiteKind, SuiteSpec
from fragua_evaluator.scoring.journal import Journal
from fragua_evaluator.scoring.statistics import adjust, compare_arms, mean_interval


@dataclass
class Tally:
    """Everything about one arm's items of one suite that a summary needs, and none of their texts."""

    scores: dict[str, list[float]] = field(default_factory=dict)
    """By metric, one number for each item."""
    repeats: dict[str, list[tuple[float, ...]]] = field(default_factory=dict)
    components: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    checks: dict[str, list[float]] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    log_likelihood: float = 0.0
    tokens: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    """By metric."""

    def add(self, tag: str, item: ArmItem) -> None:
        self.tags.append(tag)
        for metric, score in item.scores.items():
            self.scores.setdefault(metric, []).append(score.value)
            self.repeats.setdefault(metric, []).append(item.repeat_values[metric])
            self.failed[metric] = self.failed.get(metric, 0) + bool(score.failure)
            for name, value in score.components.items():
                self.components.setdefault(metric, {}).setdefault(name, []).append(value)
        for name, value in item.checks.items():
            self.checks.setdefault(name, []).append(value)
        self.log_likelihood += sum(answer.log_likelihood or 0.0 for answer in item.answers)
        self.tokens += sum(answer.tokens for answer in item.answers)


Tallies = Mapping[tuple[str, str], Tally]
"""By suite and arm."""
Graded = Mapping[str, Mapping[str, bool]]
"""By suite and metric, whether an answer's score may lie between 0 and 1; the first metric is the one that is compared."""


def tally(spec: EvaluationSpec, records: Iterable[ItemRecord]) -> Tallies:
    tallies = {(suite.name, arm.name): Tally() for suite in spec.suites for arm in spec.arms}
    for record in records:
        for arm, item in record.arms.items():
            tallies[record.suite, arm].add(record.tag, item)
    return tallies


def summarise_arm(arm: str, spec: EvaluationSpec, tallies: Tallies, graded: Graded, journal: Journal) -> ArmReport:
    state = journal.arms[arm]
    answers = list(journal.answers(arm))
    fresh = [answer for answer in answers if not answer.cached]
    generated = [answer for answer in fresh if not answer.was_weighed]
    tokens, generating = sum(answer.tokens for answer in generated), math.fsum(answer.seconds for answer in generated)
    first_tokens = [answer.first_token_seconds for answer in generated if answer.first_token_seconds is not None]
    return ArmReport(
        arm=arm,
        model=spec.models.get(arm) or state.identity.model,
        digest=state.identity.digest,
        suites=tuple(_suite_result(suite, tallies[suite.name, arm], graded[suite.name], spec) for suite in spec.suites),
        answers=len(answers),
        failed_answers=sum(answer.ending is Ending.FAILED for answer in answers),
        cached_answers=len(answers) - len(fresh),
        tokens=tokens,
        seconds=round(state.seconds, 3),
        tokens_per_second=round(tokens / generating, 2) if tokens and generating else None,
        first_token_seconds=round(median(first_tokens), 4) if first_tokens else None,
        peak_rss_bytes=state.peak_rss_bytes,
        conditions=dict(state.identity.conditions),
    )


def _suite_result(suite: SuiteSpec, tally: Tally, graded: Mapping[str, bool], spec: EvaluationSpec) -> SuiteResult:
    return SuiteResult(
        suite=suite.name,
        kind=suite.kind,
        items=len(tally.tags),
        failed=tally.failed[next(iter(graded))],
        metrics=tuple(_metric_summary(metric, tally, is_graded, spec.seed) for metric, is_graded in graded.items()),
        checks={name: _mean(values) for name, values in tally.checks.items()},
        perplexity=_perplexity(tally) if suite.kind is SuiteKind.PERPLEXITY else None,
    )


def _metric_summary(metric: str, tally: Tally, graded: bool, seed: int) -> MetricSummary:
    scores = tally.scores[metric]
    by_repeat = tuple(_mean(values) for values in zip(*tally.repeats[metric], strict=True))
    return MetricSummary(
        metric=metric,
        graded=graded,
        score=_mean(scores),
        interval=mean_interval(scores, graded=_is_graded(graded, scores), seed=seed),
        repeat_scores=by_repeat,
        repeat_sd=stdev(by_repeat) if len(by_repeat) > 1 else None,
        components={name: _mean(values) for name, values in tally.components.get(metric, {}).items()},
        by_tag={tag: _mean(values) for tag, values in _by_tag(tally.tags, scores).items() if tag},
        failed=tally.failed[metric],
    )


def _by_tag(tags: Sequence[str], scores: Sequence[float]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for tag, score in zip(tags, scores, strict=True):
        found.setdefault(tag, []).append(score)
    return found


def compare(spec: EvaluationSpec, tallies: Tallies, graded: Graded) -> tuple[PairedComparison, ...]:
    """All pairs of arms on every suite, by its first metric."""
    comparisons: list[PairedComparison] = []
    for suite in spec.suites:
        metric, is_graded = next(iter(graded[suite.name].items()))
        scores = {arm.name: tallies[suite.name, arm.name].scores[metric] for arm in spec.arms}
        graded_means = any(_is_graded(is_graded, values) for values in scores.values())
        comparisons += compare_arms(
            suite.name,
            metric,
            graded_means,
            scores,
            seed=spec.seed,
            min_improvement=spec.min_improvement,
            alpha=spec.alpha,
        )
    return adjust(comparisons)


def _is_graded(graded: bool, scores: Sequence[float]) -> bool:
    """Repeats that disagree make a graded score of a yes-or-no metric."""
    return graded or any(score not in (0.0, 1.0) for score in scores)


def _perplexity(tally: Tally) -> float | None:
    """Over all tokens of the suite, so that long answers weigh more than short ones."""
    return math.exp(-tally.log_likelihood / tally.tokens) if tally.tokens else None


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
