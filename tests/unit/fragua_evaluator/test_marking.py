"""From answers to scores of items, suites and arms."""

import math

import pytest

from fragua_evaluator.domain.arm import ArmSpec, LocalModel, Message, Role
from fragua_evaluator.domain.evaluation_spec import EvaluationSpec
from fragua_evaluator.domain.report import Answer, ArmReport, Ending
from fragua_evaluator.domain.suite import MetricChoice, SuiteKind, SuiteSpec
from fragua_evaluator.scoring.documents.summary import ALL_METRICS, Rows, breakdowns
from fragua_evaluator.scoring.item import Item
from fragua_evaluator.scoring.items import Questionnaire
from fragua_evaluator.scoring.journal import Journal
from fragua_evaluator.scoring.marking import CHOICE_ACCURACY, CHOICE_ACCURACY_BY_LENGTH, mark, open_markers
from fragua_evaluator.scoring.questions import key_of
from fragua_evaluator.scoring.summary import compare, summarise_arm, tally
from fragua_evaluator.scoring.targets.port import Identity
from tests.evaluation_samples import make_evaluation, report_on

QUESTION = (Message(role=Role.USER, content="¿Qué vuela?"),)
FAILED = Answer(ending=Ending.FAILED, failure="TIMEOUT: no answer")


def item(item_id: str, expected: str = "el cóndor", tag: str = "aves", **fields: object) -> Item:
    return Item("s", item_id, f"s: {item_id}", tag, QUESTION, expected, **fields)  # type: ignore[arg-type]


def said(text: str, tokens: int = 3, ending: Ending = Ending.STOP, **fields: object) -> Answer:
    return Answer(text=text, ending=ending, tokens=tokens, **fields)  # type: ignore[arg-type]


class Marked:
    """Two arms, the given answers, and what becomes of them."""

    def __init__(self, suite: SuiteSpec, items: list[Item], answers: dict[str, list[list[Answer]]]) -> None:
        """`answers`: by arm, of each item, of each repeat."""
        repeats = max(len(repeats) for of_arm in answers.values() for repeats in of_arm)
        arms = tuple(ArmSpec(name=name, target=LocalModel(base="m")) for name in answers)
        self.spec = EvaluationSpec(arms=arms, suites=(suite,), repeats=repeats)
        self.journal = Journal({})
        for arm, of_arm in answers.items():
            self.journal.know(arm, Identity(arm, arm)).seconds = 2.0
            for asked, given in zip(items, of_arm, strict=True):
                for repeat, answer in enumerate(given):
                    self.journal.add(arm, key_of(asked, repeat), answer)
        questionnaire = Questionnaire(suite, tuple(items), len(items), "sha")
        with open_markers(self.spec) as markers:
            marker = markers[suite.name]
            self.records = list(mark(questionnaire, marker, list(answers), self.spec.repeats_of(suite), self.journal))
            self.graded = {suite.name: dict(marker.graded)}
        self.tallies = tally(self.spec, self.records)

    def arm(self, name: str) -> ArmReport:
        return summarise_arm(name, self.spec, self.tallies, self.graded, self.journal)


def generation(*metrics: str) -> SuiteSpec:
    return SuiteSpec(name="s", rows="rows.jsonl", metrics=tuple(MetricChoice(name=name) for name in metrics))


def test_the_score_of_an_item_is_the_mean_over_its_repeats_and_counts_once() -> None:
    right, wrong = said("el cóndor"), said("el pez", ending=Ending.LENGTH)
    marked = Marked(
        generation("exact_match"),
        [item("1"), item("2", tag="peces")],
        {"base": [[wrong, wrong], [wrong, wrong]], "tuned": [[right, wrong], [right, right]]},
    )
    [suite] = marked.arm("tuned").suites
    [metric] = suite.metrics
    assert metric.score == pytest.approx(0.75)
    assert metric.repeat_scores == (1.0, 0.5)
    assert metric.repeat_sd == pytest.approx(math.sqrt(0.125))
    assert metric.by_tag == {"aves": 0.5, "peces": 1.0}
    assert suite.checks["ended"] == pytest.approx(0.75)
    [compared] = compare(marked.spec, marked.tallies, marked.graded)
    assert (compared.items, compared.improved, compared.worsened, compared.tied) == (2, 2, 0, 0)
    assert "Wilcoxon" in compared.test, "repeats that disagree make a graded score"


def test_a_failed_answer_scores_nothing_and_is_counted() -> None:
    marked = Marked(generation("token_f1"), [item("1"), item("2")], {"base": [[said("el cóndor")], [FAILED]]})
    report = marked.arm("base")
    assert report.suites[0].metrics[0].score == pytest.approx(0.5)
    assert (report.suites[0].failed, report.failed_answers) == (1, 1)
    assert marked.records[1].arms["base"].scores["token_f1"].failure == FAILED.failure


def test_a_metric_that_could_not_score_is_told_from_one_that_gave_nothing() -> None:
    """Only the first metric's failures make an item a failed one, but nobody shall take the others' for zeros."""
    unknown = said("el cóndor", tokens=0)
    marked = Marked(generation("exact_match", "stop_behaviour"), [item("1"), item("2")], {"base": [[unknown]] * 2})
    [result] = marked.arm("base").suites
    assert [(metric.metric, metric.score, metric.failed) for metric in result.metrics] == [
        ("exact_match", 1.0, 0),
        ("stop_behaviour", 0.0, 2),
    ]
    assert result.failed == 0
    assert "stop_behaviour (2 without a score)" in [row for row, _ in _all_metrics_of(marked)]


def _all_metrics_of(marked: Marked) -> Rows:
    report = report_on(make_evaluation(1)[1]).model_copy(update={"arms": (marked.arm("base"),)})
    return dict(breakdowns(report, "s"))[ALL_METRICS]


def test_cached_answers_score_but_cost_nothing() -> None:
    cached = said("el cóndor", tokens=100, first_token_seconds=9.0).model_copy(update={"cached": True})
    fresh = said("el cóndor", tokens=10, seconds=2.0, first_token_seconds=0.5)
    report = Marked(generation("exact_match"), [item("1"), item("2")], {"base": [[cached], [fresh]]}).arm("base")
    assert report.suites[0].metrics[0].score == 1.0
    assert (report.cached_answers, report.tokens, report.tokens_per_second) == (1, 10, 5.0)
    assert report.first_token_seconds == 0.5


def test_speed_is_that_of_generating_whatever_was_weighed_beside_it() -> None:
    written = said("el cóndor", tokens=10, seconds=2.0)
    weighed = said("", tokens=50, seconds=8.0, log_likelihood=-60.0)
    marked = Marked(generation("exact_match"), [item("1")], {"base": [[written]]})
    marked.journal.add("base", "likelihood/1/0", weighed)
    marked.journal.arms["base"].seconds = 10.0
    report = marked.arm("base")
    assert (report.tokens, report.tokens_per_second, report.seconds) == (10, 5.0, 10.0)


def test_the_likeliest_choice_counts_also_by_its_length() -> None:
    asked = item("1", choices=("A) sí", "B) el cóndor de los Andes"), right_choice=1)
    answer = said("", tokens=0, choice_log_likelihoods=(-2.0, -3.0))
    suite = SuiteSpec(name="s", rows="rows.jsonl", kind=SuiteKind.MULTIPLE_CHOICE)
    [result] = Marked(suite, [asked], {"base": [[answer]]}).arm("base").suites
    assert {metric.metric: metric.score for metric in result.metrics} == {
        CHOICE_ACCURACY: 0.0,
        CHOICE_ACCURACY_BY_LENGTH: 1.0,
    }


def test_perplexity_is_that_of_all_tokens_together() -> None:
    answers = [[said("", tokens=1, log_likelihood=-1.0)], [said("", tokens=3, log_likelihood=-6.0)]]
    suite = SuiteSpec(name="s", rows="rows.jsonl", kind=SuiteKind.PERPLEXITY)
    [result] = Marked(suite, [item("1"), item("2")], {"base": answers}).arm("base").suites
    assert result.perplexity == pytest.approx(math.exp(7 / 4))
    assert result.metrics[0].score == pytest.approx((-1.0 - 2.0) / 2)


def test_stopping_is_scored_by_how_the_answer_ended() -> None:
    answers = [[said("el cóndor")], [said("el cóndor", ending=Ending.LENGTH)]]
    report = Marked(generation("stop_behaviour"), [item("1"), item("2")], {"base": answers}).arm("base")
    assert report.suites[0].metrics[0].score == pytest.approx(0.5)
