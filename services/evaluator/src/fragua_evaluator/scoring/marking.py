"""Marks every answer by the metrics of its suite, and writes an item with all that was made of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import MappingProxyType
from typing import Final, Protocol

from fragua_evaluator.domain.arm import Limits
from fragua_evaluator.domain.evaluation_spec import EvaluationSpec
from fragua_evaluator.domain.report import Answer, ArmItem, Ending, ItemRecord, MetricScore
from fragua_evaluator.domain.suite import SuiteKind, SuiteSpec
from fragua_evaluator.scoring.item import Item
from fragua_evaluator.scoring.items import Questionnaire
from fragua_evaluator.scoring.journal import Journal
from fragua_evaluator.scoring.metrics import SuiteMetrics, open_metrics
from fragua_evaluator.scoring.questions import key_of

CHOICE_ACCURACY: Final = "choice_accuracy"
CHOICE_ACCURACY_BY_LENGTH: Final = "choice_accuracy_by_length"
LOG_LIKELIHOOD: Final = "log_likelihood"


class Marker(Protocol):
    """How the answers to one suite are marked."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of its metrics; the first one is compared."""
        ...

    @property
    def graded(self) -> Mapping[str, bool]:
        """Whether a score may lie between 0 and 1, by metric."""
        ...

    def mark(self, item: Item, answer: Answer) -> dict[str, MetricScore]: ...

    def checks(self, item: Item, answer: Answer) -> dict[str, float]: ...


@contextmanager
def open_markers(spec: EvaluationSpec) -> Iterator[dict[str, Marker]]:
    """By suite. Metrics that run foreign code have a child each, which ends with this context."""
    with ExitStack() as stack:
        yield {suite.name: _marker(suite, spec.limits, stack) for suite in spec.suites}


def _marker(suite: SuiteSpec, limits: Limits, stack: ExitStack) -> Marker:
    if suite.kind is SuiteKind.MULTIPLE_CHOICE:
        return _ChoiceMarker()
    if suite.kind is SuiteKind.PERPLEXITY:
        return _LikelihoodMarker()
    return _GenerationMarker(stack.enter_context(open_metrics(suite, limits)))


def mark(
    questionnaire: Questionnaire, marker: Marker, arms: Sequence[str], repeats: int, journal: Journal
) -> Iterator[ItemRecord]:
    for item in questionnaire.items:
        yield ItemRecord(
            suite=item.suite,
            id=item.id,
            tag=item.tag,
            messages=item.messages,
            expected=item.expected,
            choices=item.choices,
            metadata=dict(item.metadata),
            arms={arm: _arm_item(item, _answers(item, arm, repeats, journal), marker) for arm in arms},
        )


def _answers(item: Item, arm: str, repeats: int, journal: Journal) -> list[Answer]:
    answers = [journal.answer(arm, key_of(item, repeat)) for repeat in range(repeats)]
    return [answer for answer in answers if answer is not None]


def _arm_item(item: Item, answers: Sequence[Answer], marker: Marker) -> ArmItem:
    marks = [_marks(item, answer, marker) for answer in answers]
    checks = [marker.checks(item, answer) for answer in answers]
    names = {name: None for looked_at in checks for name in looked_at}
    return ArmItem(
        answers=tuple(answers),
        scores={name: _mean_score([mark[name] for mark in marks]) for name in marker.names},
        repeat_values={name: tuple(mark[name].value for mark in marks) for name in marker.names},
        checks={name: _mean([looked_at[name] for looked_at in checks if name in looked_at]) for name in names},
    )


def _marks(item: Item, answer: Answer, marker: Marker) -> dict[str, MetricScore]:
    if answer.ending is Ending.FAILED:
        return {name: MetricScore(value=0.0, failure=answer.failure) for name in marker.names}
    return marker.mark(item, answer)


def _mean_score(scores: Sequence[MetricScore]) -> MetricScore:
    components = {name: None for score in scores for name in score.components}
    return MetricScore(
        value=_mean([score.value for score in scores]),
        components={
            name: _mean([score.components[name] for score in scores if name in score.components]) for name in components
        },
        failure=next((score.failure for score in scores if score.failure), ""),
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


class _GenerationMarker:
    def __init__(self, metrics: SuiteMetrics) -> None:
        self._metrics = metrics
        self.names = metrics.names
        self.graded = metrics.graded

    def mark(self, item: Item, answer: Answer) -> dict[str, MetricScore]:
        return self._metrics.score(item, answer.text, ended=_ended(answer))

    def checks(self, item: Item, answer: Answer) -> dict[str, float]:
        return self._metrics.checks(item, answer)


def _ended(answer: Answer) -> bool | None:
    """Whether the model ended its turn; None where somebody else generated the answer and nobody counted."""
    return answer.ending is Ending.STOP if answer.tokens else None


class _ChoiceMarker:
    names: tuple[str, ...] = (CHOICE_ACCURACY, CHOICE_ACCURACY_BY_LENGTH)
    graded: Mapping[str, bool] = MappingProxyType({CHOICE_ACCURACY: False, CHOICE_ACCURACY_BY_LENGTH: False})

    def mark(self, item: Item, answer: Answer) -> dict[str, MetricScore]:
        likelihoods, choices = answer.choice_log_likelihoods or (), item.choices or ()
        # A long answer is less likely than a short one, word by word; the second metric sets that right.
        per_byte = [value / len(choice.encode()) for value, choice in zip(likelihoods, choices, strict=True)]
        return {
            name: MetricScore(value=float(max(range(len(values)), key=values.__getitem__) == item.right_choice))
            for name, values in zip(self.names, (likelihoods, per_byte), strict=True)
        }

    def checks(self, item: Item, answer: Answer) -> dict[str, float]:
        return {}


class _LikelihoodMarker:
    names: tuple[str, ...] = (LOG_LIKELIHOOD,)
    graded: Mapping[str, bool] = MappingProxyType({LOG_LIKELIHOOD: True})

    def mark(self, item: Item, answer: Answer) -> dict[str, MetricScore]:
        return {LOG_LIKELIHOOD: MetricScore(value=(answer.log_likelihood or 0.0) / max(answer.tokens, 1))}

    def checks(self, item: Item, answer: Answer) -> dict[str, float]:
        return {}
