"""Looks for what the items have in common on which a candidate lost, when it is not clearly better."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import mean

from fragua_evaluator.domain.gate import items_needed
from fragua_evaluator.domain.gate_measures import main_suite
from fragua_evaluator.domain.gate_policy import GatePolicy
from fragua_evaluator.domain.report import (
    ArmItem,
    Ending,
    ErrorAnalysis,
    ErrorGroup,
    EvaluationReport,
    ItemRecord,
    PairedComparison,
)
from fragua_evaluator.domain.suite import SuiteKind
from fragua_evaluator.scoring.languages import language_of

MOST_ITEMS = 100
_MOST_TAGS = 20
_MOST_COMPONENTS = 20

# What makes a trait a likely cause: a fifth of the losses have it, and half as many again as of the other items.
_SHARE_OF_LOSSES = 0.2
_TIMES_AS_OFTEN = 1.5


@dataclass(frozen=True)
class _Change:
    """What became of one item's score, from the baseline to the candidate."""

    record: ItemRecord
    baseline: ArmItem
    candidate: ArmItem
    metric: str
    score: float

    @property
    def name(self) -> str:
        return f"{self.record.suite}/{self.record.id}"

    @cached_property
    def traits(self) -> frozenset[_Trait]:
        return frozenset(trait for trait in _TRAITS if trait.of(self))


def analyse_errors(report: EvaluationReport, items: Sequence[ItemRecord], policy: GatePolicy) -> ErrorAnalysis | None:
    """Against the best of the simpler arms that the candidate is not clearly better than; None when there is no such arm.

    Clearly better is what the policy asks of an improvement, or, where it asks none, a significant one. Only the data
    speak: the same report and items give the same analysis, and what it calls a likely cause is more frequent among the
    items that got worse than among the others.
    """
    unsure = _strongest_comparison(report, policy)
    if unsure is None:
        return None
    baseline, candidate = unsure.baseline, unsure.arm
    changes = list(_changes(report, items, baseline, candidate))
    worse = sorted((change for change in changes if change.score < 0), key=lambda change: (change.score, change.name))
    traits = [trait for trait in _TRAITS if any(trait in change.traits for change in worse)]
    return ErrorAnalysis(
        baseline=baseline,
        candidate=candidate,
        worsened_items=tuple(change.name for change in worse[:MOST_ITEMS]),
        groups=(*_component_groups(worse), *_tag_groups(worse), *_trait_groups(traits, worse)),
        likely_causes=tuple(_likely_causes(traits, changes, worse)),
        next_options=tuple(_next_options(unsure, policy)),
    )


def _strongest_comparison(report: EvaluationReport, policy: GatePolicy) -> PairedComparison | None:
    """With the best arm of those that the candidate is not clearly better than."""
    names = [arm.arm for arm in report.arms]
    candidate = policy.candidate or names[-1]
    if policy.selection is not None or candidate not in names:
        return None
    suites = (policy.improvement and policy.improvement.suites) or (main_suite(report),)
    unsure = [
        compared
        for compared in report.comparisons
        if compared.arm == candidate and compared.suite in suites and not _clearly_better(compared, policy)
    ]
    return max(unsure, key=lambda compared: compared.baseline_score, default=None)


def _clearly_better(compared: PairedComparison, policy: GatePolicy) -> bool:
    asked = policy.improvement.points(compared.baseline_score) if policy.improvement else 0.0
    return compared.p_value <= policy.alpha and compared.difference > 0 and compared.difference >= asked


def _changes(report: EvaluationReport, items: Sequence[ItemRecord], baseline: str, candidate: str) -> Iterator[_Change]:
    """By the metric that arms are compared by. Perplexity has a scale of its own and no answers to look at."""
    metrics = {
        suite.suite: suite.metrics[0].metric
        for suite in report.arm(candidate).suites
        if suite.metrics and suite.kind is not SuiteKind.PERPLEXITY
    }
    for record in items:
        metric, before, after = metrics.get(record.suite), record.arms.get(baseline), record.arms.get(candidate)
        if metric is None or before is None or after is None:
            continue
        if metric in before.scores and metric in after.scores:
            difference = after.scores[metric].value - before.scores[metric].value
            yield _Change(record, before, after, metric, round(difference, 12))


def _component_groups(worse: Sequence[_Change]) -> list[ErrorGroup]:
    """Which parts of the score fell; the mean change is that of the part."""
    falls = defaultdict(list)
    for change in worse:
        before, after = change.baseline.scores[change.metric], change.candidate.scores[change.metric]
        for component in before.components.keys() & after.components.keys():
            fall = after.components[component] - before.components[component]
            if fall < 0:
                falls[component].append(fall)
    return _largest_first("component", falls)[:_MOST_COMPONENTS]


def _tag_groups(worse: Sequence[_Change]) -> list[ErrorGroup]:
    falls = defaultdict(list)
    for change in worse:
        falls[change.record.tag or "(none)"].append(change.score)
    return _largest_first("tag", falls)[:_MOST_TAGS]


def _trait_groups(traits: Sequence[_Trait], worse: Sequence[_Change]) -> list[ErrorGroup]:
    groups: list[ErrorGroup] = []
    for by in dict.fromkeys(trait.by for trait in traits):
        falls = {
            trait.value: [change.score for change in worse if trait in change.traits]
            for trait in traits
            if trait.by == by
        }
        groups += _largest_first(by, falls)
    return groups


def _largest_first(by: str, falls: dict[str, list[float]]) -> list[ErrorGroup]:
    groups = [
        ErrorGroup(by=by, value=value, items=len(changes), mean_change=round(mean(changes), 6))
        for value, changes in falls.items()
    ]
    return sorted(groups, key=lambda group: (group.items * group.mean_change, group.value))


@dataclass(frozen=True)
class _Trait:
    """Something that can be told of the candidate's answers to an item."""

    by: str
    value: str
    of: Callable[[_Change], bool]
    cause: str


def _ends(ending: Ending) -> Callable[[_Change], bool]:
    return lambda change: any(answer.ending is ending for answer in change.candidate.answers)


def _lost_check(check: str) -> Callable[[_Change], bool]:
    return lambda change: change.candidate.checks.get(check, 1.0) < change.baseline.checks.get(check, 1.0)


def _text(item: ArmItem) -> str:
    return item.answers[0].text if item.answers else ""


def _switches_language(change: _Change) -> bool:
    """From the language of the expected answer, or else of the question."""
    asked = language_of(change.record.expected) or language_of(change.record.messages[-1].content)
    answered = language_of(_text(change.candidate))
    return asked is not None and answered is not None and asked != answered


def _is_shorter(change: _Change) -> bool:
    usual = len(change.record.expected) or len(_text(change.baseline))
    return 2 * len(_text(change.candidate)) < usual


def _is_longer(change: _Change) -> bool:
    usual = len(change.record.expected) or len(_text(change.baseline))
    return len(_text(change.candidate)) > 2 * usual > 0


_TRAITS = (
    _Trait(
        "ending",
        "length",
        _ends(Ending.LENGTH),
        "answers were cut at max_new_tokens: allow more tokens, or train answers that end",
    ),
    _Trait(
        "ending",
        "failed",
        _ends(Ending.FAILED),
        "there was no answer: look at the failures of these items before the model",
    ),
    _Trait(
        "form",
        "invalid",
        _lost_check("valid"),
        "answers are no valid YAML or JSON where the baseline's are: audit the form of the training examples",
    ),
    _Trait(
        "form",
        "incomplete",
        _lost_check("complete"),
        "answers lack parts that the baseline's have: look for training examples that lack them too",
    ),
    _Trait(
        "form",
        "role tokens",
        _lost_check("no_role_tokens"),
        "answers go on with somebody else's turn: check the chat template and that training covered the end of turn",
    ),
    _Trait(
        "language",
        "another than asked",
        _switches_language,
        "answers are in another language than expected: add training examples in the language of the questions",
    ),
    _Trait(
        "length",
        "less than half",
        _is_shorter,
        "answers are less than half as long as expected: look for short answers among the training examples",
    ),
    _Trait(
        "length",
        "more than twice",
        _is_longer,
        "answers are more than twice as long as expected: look for long answers among the training examples",
    ),
)


def _likely_causes(traits: Sequence[_Trait], changes: Sequence[_Change], worse: Sequence[_Change]) -> Iterator[str]:
    if not worse:
        yield "no item got worse: the candidate is not better by enough, or there are too few items to see it"
        return
    others = [change for change in changes if change.score >= 0]
    for trait in traits:
        here, elsewhere = (sum(trait in change.traits for change in some) for some in (worse, others))
        share, usual = here / len(worse), elsewhere / len(others) if others else 0.0
        if share >= _SHARE_OF_LOSSES and share >= _TIMES_AS_OFTEN * usual:
            yield f"{trait.cause} ({here} of {len(worse)} worse items, {elsewhere} of {len(others)} others)"
    losses = -sum(change.score for change in worse)
    by_tag = defaultdict(list)
    for change in changes:
        by_tag[change.record.tag].append(change.score)
    for tag, scores in sorted(by_tag.items()):
        lost = -sum(score for score in scores if score < 0)
        expected = len(scores) / len(changes)
        if tag and len(by_tag) > 1 and lost / losses >= max(_SHARE_OF_LOSSES, _TIMES_AS_OFTEN * expected):
            yield (
                f"items of kind {tag!r} lose most: {lost / losses:.0%} of all that was lost, on {expected:.0%} of the "
                "items: add training examples of this kind"
            )


def _next_options(compared: PairedComparison, policy: GatePolicy) -> Iterator[str]:
    asked = policy.improvement.points(compared.baseline_score) if policy.improvement else 0.0
    yield f"Keep {compared.baseline}, the simpler arm"
    needed = items_needed(compared, asked)
    if needed is not None and compared.interval.high >= asked:
        yield f"Evaluate with about {needed:,} items: {compared.items} cannot tell a difference of {100 * asked:.1f} points"
    yield from policy.next_options
