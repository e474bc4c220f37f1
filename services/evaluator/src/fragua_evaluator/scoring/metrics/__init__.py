"""The metrics of a suite, ready to score answers."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from fragua_evaluator.domain.arm import Limits
from fragua_evaluator.domain.metric_catalog import (
    ALLOWED_METRICS_VARIABLE,
    METRICS,
    check_metric_choice,
    describe,
    options_of,
    parse_allowed,
)
from fragua_evaluator.domain.report import Answer, MetricScore
from fragua_evaluator.domain.suite import MetricChoice, SuiteKind, SuiteSpec
from fragua_evaluator.scoring.item import Item
from fragua_evaluator.scoring.metrics import documents, requirements, texts
from fragua_evaluator.scoring.metrics.apart import MetricApart
from fragua_evaluator.scoring.metrics.behaviour import has_role_tokens
from fragua_evaluator.scoring.metrics.checks import Form, checks_of, form_asked_by
from fragua_evaluator.scoring.metrics.code import CodeTests, tests_of
from fragua_platform.errors import InvalidData, InvalidInput, Violation

__all__ = ["SuiteMetrics", "open_metrics", "refuse_unfit"]

_MAX_VIOLATIONS = 100

Score = Callable[[Item, str, bool | None], MetricScore]
"""Of an item, an output, and whether the model ended its turn, if that is known."""


@dataclass(frozen=True)
class SuiteMetrics:
    names: tuple[str, ...]
    """What the metrics are called in reports: unique, in the order of the suite."""
    graded: dict[str, bool]
    _scores: dict[str, Score]
    _form: Form | None

    def score(self, item: Item, output: str, *, ended: bool | None = None) -> dict[str, MetricScore]:
        """By name. Never raises for a bad answer: what a metric cannot score is a failure in its place.

        `ended`: whether the model ended its turn by itself, which `stop_behaviour` asks for.
        """
        return {name: score(item, output, ended) for name, score in self._scores.items()}

    def checks(self, item: Item, answer: Answer) -> dict[str, float]:
        """`ended` and `no_role_tokens`; `valid` and `complete` where suite or expected answer ask for a form. Empty for an
        answer that failed."""
        return checks_of(item, answer, self._form)


@contextmanager
def open_metrics(suite: SuiteSpec, limits: Limits) -> Iterator[SuiteMetrics]:
    """Raises InvalidInput when a metric is unknown, not allowed, or cannot be loaded, with all problems at once.

    Child processes end with the block; and with the thread that opened it.
    """
    allowed = parse_allowed(os.environ.get(ALLOWED_METRICS_VARIABLE, ""))
    places = [f"suites.{suite.name}.metrics.{number}" for number in range(len(suite.metrics))]
    problems = [
        problem
        for place, choice in zip(places, suite.metrics, strict=True)
        for problem in check_metric_choice(choice, place, allowed)
    ]
    _refuse(problems, f"suite {suite.name}")
    with ExitStack() as opened:
        names = _display_names(suite.metrics)
        scores: dict[str, Score] = {}
        starting: list[MetricApart] = []
        reasons = set[str]()
        for name, place, choice in zip(names, places, suite.metrics, strict=True):
            if choice.name in _IN_PROCESS:
                scores[name] = _IN_PROCESS[choice.name](options_of(choice))
            elif choice.name == "code_tests":
                try:
                    scores[name] = _code_tests(CodeTests(options_of(choice), limits))
                except InvalidInput as refused:
                    problems.append(Violation(place, refused.message))
                    reasons.add(refused.reason)
            else:
                apart = MetricApart(choice.name, options_of(choice), limits, place)
                opened.callback(apart.close)
                apart.start()
                starting.append(apart)
                scores[name] = _apart(apart)
        for apart in starting:
            try:
                apart.wait_until_ready()
            except InvalidInput as broken:
                problems += broken.violations
                reasons.add(broken.reason)
        _refuse(problems, f"suite {suite.name}", reasons.pop() if len(reasons) == 1 else None)
        graded = {name: describe(choice).graded for name, choice in zip(names, suite.metrics, strict=True)}
        yield SuiteMetrics(names, graded, scores, form_asked_by(suite.metrics))


def refuse_unfit(suite: SuiteSpec, items: Sequence[Item]) -> None:
    """Raises InvalidData that names every item that a metric of the suite, or its kind, cannot score."""
    comparing = [choice.name for choice in suite.metrics if choice.name in METRICS and describe(choice).needs_expected]
    runs_code = any(choice.name == "code_tests" for choice in suite.metrics)
    problems = []
    for item in items:
        place = f"suite {suite.name}, {item.place}"
        if suite.kind is SuiteKind.MULTIPLE_CHOICE:
            if item.choices is None or item.right_choice is None:
                problems.append(Violation(place, "it has no choices, or no right one; multiple choice needs both"))
        elif not item.expected.strip() and (comparing or suite.kind is SuiteKind.PERPLEXITY):
            who = f"the metric {comparing[0]}" if comparing else "perplexity"
            problems.append(Violation(place, f"it has no expected answer, which {who} needs"))
        if runs_code and (problem := tests_of(item)[1]):
            problems.append(Violation(place, problem))
    if problems:
        first = problems[0]
        raise InvalidData(
            f"{len(problems)} problems in the items of suite {suite.name}; first: {first.field}: {first.description}",
            violations=problems[:_MAX_VIOLATIONS],
            reason="ITEMS_UNFIT",
        )


def _display_names(choices: Sequence[MetricChoice]) -> tuple[str, ...]:
    """`regex`, `regex-2`: the same metric may look for several things."""
    seen = Counter[str]()
    names = []
    for choice in choices:
        seen[choice.name] += 1
        names.append(choice.name if seen[choice.name] == 1 else f"{choice.name}-{seen[choice.name]}")
    return tuple(names)


def _comparison(compare: Callable[[str, str], float]) -> Score:
    def score(item: Item, output: str, _ended: bool | None) -> MetricScore:
        try:
            return MetricScore(value=compare(output, item.expected))
        except texts.TooLong as long:
            return MetricScore(value=0.0, failure=f"ANSWER_TOO_LONG: {long}")

    return score


def _record_score(
    score_record: Callable[[str, Mapping[str, Any]], tuple[float, dict[str, float]]], options: Mapping[str, Any]
) -> Score:
    def score(_item: Item, output: str, _ended: bool | None) -> MetricScore:
        value, components = score_record(output, options)
        return MetricScore(value=value, components=components)

    return score


def _validity(form: str, *, strict: bool) -> Score:
    def score(_item: Item, output: str, _ended: bool | None) -> MetricScore:
        return MetricScore(value=float(documents.is_readable(output, form, strict=strict)))

    return score


def _stop_behaviour(item: Item, output: str, ended: bool | None) -> MetricScore:
    if ended is None:
        return MetricScore(value=0.0, failure="ENDING_UNKNOWN: nobody knows whether the model ended its turn")
    parts = {"ended": float(ended), "no_role_tokens": float(not has_role_tokens(output, item.expected))}
    return MetricScore(value=min(parts.values()), components=parts)


def _code_tests(code: CodeTests) -> Score:
    return lambda item, output, _ended: code.score(item, output)


def _apart(metric: MetricApart) -> Score:
    return lambda item, output, _ended: metric.score(item, output)


_IN_PROCESS: Mapping[str, Callable[[Mapping[str, Any]], Score]] = {
    "exact_match": lambda _: _comparison(texts.exact_match),
    "contains": lambda _: _comparison(texts.contains),
    "token_f1": lambda _: _comparison(texts.token_f1),
    "rouge_l": lambda _: _comparison(texts.rouge_l),
    "chrf": lambda _: _comparison(texts.chrf),
    "json_valid": lambda options: _validity("json", strict=options["strict"]),
    "yaml_valid": lambda options: _validity("yaml", strict=options["strict"]),
    "stop_behaviour": lambda _: _stop_behaviour,
    "business_requirements": lambda options: _record_score(requirements.business_requirements, options),
    "requirements_quick": lambda options: _record_score(requirements.requirements_quick, options),
}


def _refuse(problems: Sequence[Violation], whose: str, reason: str | None = None) -> None:
    if problems:
        listed = "; ".join(f"{problem.field}: {problem.description}" for problem in problems)
        raise InvalidInput(f"the metrics of {whose} are invalid: {listed}", violations=problems, reason=reason)
