"""The metrics of one suite together: names, checks, and items that do not fit."""

from __future__ import annotations

from typing import Any

import pytest

from fragua_evaluator.domain.arm import Limits, Message, Role
from fragua_evaluator.domain.report import Answer, Ending, MetricScore
from fragua_evaluator.domain.suite import MetricChoice, SuiteKind, SuiteSpec
from fragua_evaluator.domain.suite_catalog import packaged_suites
from fragua_evaluator.scoring.item import Item
from fragua_evaluator.scoring.metrics import open_metrics, refuse_unfit
from fragua_platform.errors import InvalidData, InvalidInput

RECORD = """\
title: Reservas de una clínica
description: Los pacientes reservan, cambian y anulan sus citas desde el teléfono, y el personal las ve al momento.
functional_requirements:
- {id: FR001, description: Reservar una cita}
- {id: FR002, description: Anular una cita}
non_functional_requirements:
- {id: NFR001, description: Responde en dos segundos}
- {id: NFR002, description: Funciona sin conexión}
constraints:
- {id: C001, description: Cumple el RGPD}
- {id: C002, description: Se usa en castellano y catalán}
"""


def suite(*names: str, kind: SuiteKind = SuiteKind.GENERATION, **options: Any) -> SuiteSpec:
    choices = tuple(MetricChoice(name=name, options=options) for name in names)
    return SuiteSpec(name="prueba", kind=kind, rows="rows.jsonl", metrics=choices)


def item(expected: str = "", place: str = "validation.jsonl line 1", **changes: Any) -> Item:
    question = Message(role=Role.USER, content="¿?")
    return Item("prueba", "1", place, "", (question,), expected, **changes)


def answer(text: str, ending: Ending = Ending.STOP) -> Answer:
    return Answer(text=text, ending=ending)


def test_metrics_score_by_name_in_the_order_of_the_suite() -> None:
    with open_metrics(suite("chrf", "exact_match", "rouge_l"), Limits()) as metrics:
        assert metrics.names == ("chrf", "exact_match", "rouge_l")
        assert metrics.graded == {"chrf": True, "exact_match": False, "rouge_l": True}
        scores = metrics.score(item("El niño"), "El niño")
        assert list(scores) == ["chrf", "exact_match", "rouge_l"]
        assert {score.value for score in scores.values()} == {1.0}
        assert {score.value for score in metrics.score(item("El niño"), "").values()} == {0.0}


def test_an_answer_that_is_too_long_for_a_metric_is_a_failure() -> None:
    with open_metrics(suite("chrf", "exact_match"), Limits()) as metrics:
        scores = metrics.score(item("a"), "b" * 2_000_001)
    assert scores["chrf"].failure.startswith("ANSWER_TOO_LONG: 2000001 characters")
    assert scores["exact_match"] == MetricScore(value=0.0)


def test_all_metrics_that_do_not_exist_are_told_at_once() -> None:
    with pytest.raises(InvalidInput) as refused, open_metrics(suite("blue", "regex"), Limits()):
        pytest.fail("it opened")
    assert [violation.field for violation in refused.value.violations] == [
        "suites.prueba.metrics.0.name",
        "suites.prueba.metrics.1.options.pattern",
    ]


# R159
def test_a_good_record_gets_full_marks_in_the_packaged_suite() -> None:
    packaged = packaged_suites()["business-requirements"].suite("rows.jsonl")
    with open_metrics(packaged, Limits()) as metrics:
        scores = metrics.score(item(RECORD), RECORD, ended=True)
        assert {name: score.value for name, score in scores.items()} == {
            "business_requirements": pytest.approx(1.0),
            "requirements_quick": 1.0,
            "yaml_valid": 1.0,
            "stop_behaviour": 1.0,
        }
        assert metrics.checks(item(RECORD), answer(RECORD)) == {
            "ended": 1.0,
            "no_role_tokens": 1.0,
            "valid": 1.0,
            "complete": 1.0,
        }
        cut = RECORD[: RECORD.index("constraints")]
        assert metrics.checks(item(RECORD), answer(cut, Ending.LENGTH)) == {
            "ended": 0.0,
            "no_role_tokens": 1.0,
            "valid": 1.0,
            "complete": 0.0,
        }


# R195
def test_a_tutors_answer_is_looked_through_point_by_point() -> None:
    good = (
        "La búsqueda binaria encuentra un dato en una lista ordenada. Imagina una guía de teléfonos: la abres por la "
        "mitad y descartas la mitad que no sirve. "
        * 3
        + "\n```python\ndef buscar(lista, x):\n    # límites\n    ...\n```\n"
    )
    with open_metrics(packaged_suites()["tutor"].suite(None), Limits()) as metrics:
        full = metrics.score(item(), good, ended=True)["checklist"]
        bare = metrics.score(item(), "Sí. Como modelo de lenguaje no tengo opinión.", ended=True)["checklist"]
    assert full.value == 1
    assert full.components.keys() == {"explanation", "python", "comments", "analogy", "stays_in_role"}
    assert set(bare.components.values()) == {0.0}


def test_stop_behaviour_needs_to_know_how_the_answer_ended() -> None:
    with open_metrics(suite("stop_behaviour"), Limits()) as metrics:
        assert metrics.score(item(), "Hola", ended=True)["stop_behaviour"].value == 1
        assert metrics.score(item(), "Hola", ended=False)["stop_behaviour"] == MetricScore(
            value=0.0, components={"ended": 0.0, "no_role_tokens": 1.0}
        )
        assert metrics.score(item(), "Hola\nuser: ¿y?", ended=True)["stop_behaviour"].value == 0
        assert metrics.score(item(), "Hola")["stop_behaviour"].failure.startswith("ENDING_UNKNOWN")


@pytest.mark.parametrize(
    ("expected", "text", "checks"),
    [
        ("Madrid", "París", {}),
        ('{"a": 1, "b": 2}', '{"a": 3}', {"valid": 1.0, "complete": 0.0}),
        ('{"a": 1, "b": 2}', 'Claro:\n```json\n{"b": 0, "a": false}\n```', {"valid": 1.0, "complete": 1.0}),
        ("a: 1\nb: 2", "a: 1\nb:", {"valid": 1.0, "complete": 0.0}),
        ("a: 1\nb: 2", "No sé", {"valid": 0.0, "complete": 0.0}),
        ("[1, 2]", "[3]", {"valid": 1.0}),
    ],
)
def test_the_form_is_checked_where_the_expected_answer_has_one(
    expected: str, text: str, checks: dict[str, float]
) -> None:
    with open_metrics(suite("exact_match"), Limits()) as metrics:
        found = metrics.checks(item(expected), answer(text))
    assert found == {"ended": 1.0, "no_role_tokens": 1.0} | checks


def test_the_form_is_checked_where_a_metric_asks_for_one() -> None:
    schema = {"type": "object", "required": ["nombre"]}
    with open_metrics(suite("json_schema", schema=schema), Limits()) as metrics:
        assert metrics.checks(item(), answer('{"nombre": ""}'))["complete"] == 0
        assert metrics.checks(item(), answer('{"nombre": "Ana"}'))["complete"] == 1
        assert metrics.checks(item(), answer("nombre: Ana"))["valid"] == 0


def test_an_answer_that_failed_has_nothing_to_check() -> None:
    with open_metrics(suite("yaml_valid"), Limits()) as metrics:
        assert metrics.checks(item(), Answer(ending=Ending.FAILED, failure="TIMEOUT: no answer within 600 s")) == {}


def test_suites_that_generate_nothing_have_no_metrics_to_open() -> None:
    with open_metrics(suite(kind=SuiteKind.PERPLEXITY), Limits()) as metrics:
        assert (metrics.names, metrics.graded) == ((), {})


@pytest.mark.parametrize(
    ("asked", "items", "told"),
    [
        (
            suite("yaml_valid", "token_f1"),
            [item("a"), item("", "case b"), item(" ", "case c")],
            {"suite prueba, case b": "the metric token_f1 needs", "suite prueba, case c": "the metric token_f1 needs"},
        ),
        (suite("yaml_valid"), [item()], {}),
        (suite(kind=SuiteKind.PERPLEXITY), [item(place="case p")], {"suite prueba, case p": "perplexity needs"}),
        (
            suite(kind=SuiteKind.MULTIPLE_CHOICE),
            [item(place="case m"), item(choices=("A) sí", "B) no"), right_choice=1)],
            {"suite prueba, case m": "needs both"},
        ),
        (
            suite("code_tests"),
            [item(place="case t", metadata={"tests": ["", 3]}), item(metadata={"tests": "assert True"})],
            {"suite prueba, case t": "hold no `tests`"},
        ),
    ],
)
def test_every_item_that_cannot_be_scored_is_named(asked: SuiteSpec, items: list[Item], told: dict[str, str]) -> None:
    if not told:
        refuse_unfit(asked, items)
        return
    with pytest.raises(InvalidData) as refused:
        refuse_unfit(asked, items)
    found = {violation.field: violation.description for violation in refused.value.violations}
    assert found.keys() == told.keys()
    assert all(words in found[place] for place, words in told.items())
