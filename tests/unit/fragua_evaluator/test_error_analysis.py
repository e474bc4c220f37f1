"""Where a candidate lost: found in items whose causes were planted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from fragua_evaluator.domain.arm import Message, Role
from fragua_evaluator.domain.gate_catalog import packaged_policies
from fragua_evaluator.domain.gate_policy import GatePolicy, parse_gate_policy
from fragua_evaluator.domain.report import Answer, ArmItem, Ending, ErrorAnalysis, ItemRecord, MetricScore
from fragua_evaluator.scoring.error_analysis import analyse_errors
from fragua_evaluator.scoring.languages import language_of
from tests.judged_reports import METRIC, report_of

ADOPT = packaged_policies()["adopt"]
QUESTION = "¿Qué tiene que hacer el sistema cuando se pierde la conexión con el banco?"
EXPECTED = "El sistema guarda la operación y la repite en cuanto la conexión con el banco está de vuelta."
ENGLISH = "The system keeps the operation and repeats it as soon as the connection to the bank is back."


def answered(score: float, text: str = EXPECTED, ending: Ending = Ending.STOP, **parts: Mapping[str, float]) -> ArmItem:
    return ArmItem(
        answers=(Answer(text=text, ending=ending),),
        scores={METRIC: MetricScore(value=score, components=dict(parts.get("components", {})))},
        checks=dict(parts.get("checks", {})),
    )


def record(number: int, base: ArmItem, tuned: ArmItem, *, tag: str = "", expected: str = EXPECTED) -> ItemRecord:
    messages = (Message(role=Role.USER, content=QUESTION),)
    return ItemRecord(
        suite="validation",
        id=f"{number:02}",
        tag=tag,
        messages=messages,
        expected=expected,
        arms={"base": base, "tuned": tuned},
    )


def analysed(records: Sequence[ItemRecord], policy: GatePolicy = ADOPT) -> ErrorAnalysis:
    scores = {arm: [item.arms[arm].scores[METRIC].value for item in records] for arm in ("base", "tuned")}
    analysis = analyse_errors(report_of({"validation": scores}, graded=True), records, policy)
    assert analysis is not None
    return analysis


def ten_good_and(*worse: ArmItem, **kwargs: Any) -> list[ItemRecord]:
    good = [record(number, answered(0.7), answered(0.7)) for number in range(10)]
    return good + [record(10 + number, answered(0.8), item, **kwargs) for number, item in enumerate(worse)]


def test_a_candidate_that_is_clearly_better_needs_no_analysis() -> None:
    records = [record(number, answered(0.0), answered(1.0)) for number in range(20)]
    scores = {"base": [0.0] * 20, "tuned": [1.0] * 20}
    assert analyse_errors(report_of({"validation": scores}), records, ADOPT) is None


def test_a_selection_has_no_candidate_to_analyse() -> None:
    report = report_of({"validation": {"base": [1.0], "tuned": [0.0]}})
    assert analyse_errors(report, [], packaged_policies()["base-model"]) is None


def test_the_largest_losses_come_first_and_at_most_a_hundred_are_listed() -> None:
    records = [record(number, answered(1.0), answered(1 - number % 7 / 10)) for number in range(140)]
    analysis = analysed(records)
    assert analysis.worsened_items[:2] == ("validation/06", "validation/104")
    assert len(analysis.worsened_items) == 100
    assert (analysis.baseline, analysis.candidate) == ("base", "tuned")


def test_losses_are_compared_with_the_best_simpler_arm() -> None:
    report = report_of({"validation": {"base": [0.0] * 20, "prompt": [1.0] * 20, "tuned": [1.0] * 10 + [0.0] * 10}})
    tuned_over_prompt = analyse_errors(report, [], ADOPT)
    assert tuned_over_prompt is not None
    assert tuned_over_prompt.baseline == "prompt"


CUT = answered(0.2, ending=Ending.LENGTH)
FAILED = answered(0.0, "", Ending.FAILED)
INVALID = answered(0.1, checks={"valid": 0.0})
IN_ENGLISH = answered(0.3, ENGLISH)
SHORT = answered(0.2, "Lo guarda.")
LONG = answered(0.4, EXPECTED * 3)


@pytest.mark.parametrize(
    ("planted", "group", "cause"),
    [
        (CUT, ("ending", "length"), "cut at max_new_tokens"),
        (FAILED, ("ending", "failed"), "there was no answer"),
        (IN_ENGLISH, ("language", "another than asked"), "in another language than expected"),
        (SHORT, ("length", "less than half"), "less than half as long as expected"),
        (LONG, ("length", "more than twice"), "more than twice as long as expected"),
    ],
)
def test_a_planted_cause_is_found(planted: ArmItem, group: tuple[str, str], cause: str) -> None:
    analysis = analysed(ten_good_and(planted, planted, planted))
    assert group in [(found.by, found.value) for found in analysis.groups]
    (said,) = [likely for likely in analysis.likely_causes if cause in likely]
    assert "(3 of 3 worse items, 0 of 10 others)" in said


def test_a_form_that_the_baseline_kept_is_found() -> None:
    valid = answered(0.8, checks={"valid": 1.0, "complete": 1.0})
    records = [record(number, valid, INVALID if number < 4 else valid) for number in range(12)]
    analysis = analysed(records)
    (form,) = [group for group in analysis.groups if group.by == "form"]
    assert (form.value, form.items) == ("invalid", 4)
    assert form.mean_change == pytest.approx(-0.7)
    assert any("no valid YAML or JSON" in cause for cause in analysis.likely_causes)


def test_what_is_as_frequent_elsewhere_is_no_cause() -> None:
    cut = answered(0.7, ending=Ending.LENGTH)
    records = [record(number, answered(0.7), cut) for number in range(10)]
    records += [record(20 + number, answered(0.8), CUT) for number in range(3)]
    analysis = analysed(records)
    assert ("ending", "length") in [(group.by, group.value) for group in analysis.groups]
    assert not any("max_new_tokens" in cause for cause in analysis.likely_causes)


def test_components_and_tags_tell_which_part_of_what_fell() -> None:
    before = answered(0.8, components={"title": 1.0, "constraints": 1.0})
    after = answered(0.5, components={"title": 1.0, "constraints": 0.25})
    records = [record(number, before, before, tag="sencillo") for number in range(10)]
    records += [record(10 + number, before, after, tag="ambiguo") for number in range(4)]
    analysis = analysed(records)
    assert [(g.by, g.value, g.items, g.mean_change) for g in analysis.groups] == [
        ("component", "constraints", 4, -0.75),
        ("tag", "ambiguo", 4, -0.3),
    ]
    assert any("items of kind 'ambiguo' lose most: 100% of all" in cause for cause in analysis.likely_causes)


def test_without_a_loss_the_size_of_the_gain_is_the_cause() -> None:
    analysis = analysed([record(number, answered(0.7), answered(0.7 + 0.001 * number)) for number in range(20)])
    assert not analysis.worsened_items
    assert not analysis.groups
    assert analysis.likely_causes == (
        "no item got worse: the candidate is not better by enough, or there are too few items to see it",
    )


def test_the_next_options_keep_the_simpler_arm_and_are_those_of_the_policy() -> None:  # R98, R123
    assert analysed(ten_good_and(CUT)).next_options == (
        "Keep base, the simpler arm",
        *ADOPT.next_options,
    )


def test_where_items_are_too_few_more_of_them_are_an_option() -> None:
    gains = [record(number, answered(0.5), answered(0.5 + (0.3 if number % 3 else -0.3))) for number in range(22)]
    assert any(option.startswith("Evaluate with about ") for option in analysed(gains).next_options)


def test_a_policy_without_an_improvement_asks_for_a_significant_one() -> None:
    policy = parse_gate_policy({"name": "mine", "criteria": [{"name": "a", "measure": "score", "above": 0.1}]})
    assert analysed(ten_good_and(CUT), policy).next_options == ("Keep base, the simpler arm",)


def test_the_same_items_give_the_same_analysis() -> None:
    records = ten_good_and(CUT, FAILED, IN_ENGLISH, SHORT)
    assert analysed(records) == analysed(records)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (EXPECTED, "Spanish"),
        (ENGLISH, "English"),
        ("O sistema guarda a operação e repete quando a conexão com o banco não está mais em falta.", "Portuguese"),
        ("Le système garde l'opération et la répète dès que la connexion avec la banque est de retour.", "French"),
        ("Система сохраняет операцию и повторяет её.", "Cyrillic script"),
        ("システムは操作を保存し、繰り返します。", "Chinese or Japanese"),
        ("def f(x):\n    return x + 1", None),
        ("FR001, FR002, NFR001", None),
        ("", None),
    ],
)
def test_languages_are_told_apart_or_not_told(text: str, language: str | None) -> None:
    assert language_of(text) == language


def test_an_answer_of_a_megabyte_is_looked_at_in_no_time() -> None:
    assert language_of(EXPECTED * 12_000) == "Spanish"
