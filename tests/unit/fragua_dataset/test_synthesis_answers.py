"""What counts as an answer, and what its example is worth."""

import json
from typing import Any

import pytest

from fragua_dataset.domain.profile_catalog import packaged_profile
from fragua_dataset.synthesis.answers import Unparsable, read_answer
from fragua_dataset.synthesis.metrics import Unscored, open_metric
from fragua_platform.errors import InvalidInput
from fragua_platform.yaml_text import read_yaml
from tests.language_model_server import record

LESSON = {"instruction": "¿Qué es una piñata?", "output": "Una olla con dulces que se rompe con los ojos vendados."}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(LESSON),
        json.dumps(LESSON, ensure_ascii=False, indent=2),
        f"```json\n{json.dumps(LESSON)}\n```",
        f"Aquí tienes:\n\n```\n{json.dumps(LESSON)}\n```\nEspero que sirva.",
        f"<think>¿Qué pongo? {{}}</think>\n{json.dumps(LESSON)}",
        f"instruction: '{LESSON['instruction']}'\noutput: {LESSON['output']}",
    ],
)
def test_an_object_is_read_in_json_or_yaml_with_or_without_a_fence(text: str) -> None:
    assert read_answer(text, "alpaca") == LESSON


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not an object"),
        ("Lo siento, no puedo.", "not an object"),
        ("[1, 2]", "not an object"),
        ("{", "neither JSON nor YAML"),
        ("{" * 100_000, "neither JSON nor YAML"),
        ("[" * 100_000, "neither JSON nor YAML"),
        ('{"instruction": "a", "instruction": "b", "output": "c"}', "neither JSON nor YAML"),
        ('{"instruction": NaN, "output": "c"}', "neither JSON nor YAML"),
        ('{"instruction": "\\ud800", "output": "c"}', "neither JSON nor YAML"),
        ("a: &a [*a]\n", "neither JSON nor YAML"),
        ("a: !!python/object/apply:os.system [ls]", "neither JSON nor YAML"),
        ("1: 2", "not an object"),
        ('{"instruction": "a"}', "without output"),
        ('{"instruction": "a", "output": ""}', "without output"),
        ('{"instruction": "a", "output": "b", "extra": 1}', "with fields that were not asked for"),
        (f"{json.dumps(LESSON)}\n{json.dumps(LESSON)}", "neither JSON nor YAML"),
    ],
)
def test_what_is_no_object_with_the_fields_asked_for_is_counted_by_its_reason(text: str, reason: str) -> None:
    with pytest.raises(Unparsable) as refused:
        read_answer(text, "alpaca")
    assert refused.value.reason == reason


# R137
def test_the_sections_of_a_record_become_text_however_they_were_written() -> None:
    from_yaml = read_answer(record("¿Qué falta?", 1), "requirements")
    from_json = read_answer(json.dumps(read_yaml(record("¿Qué falta?", 1))), "requirements")
    assert from_yaml == from_json
    assert from_yaml["constraints"].startswith("- id: C001\n")


def record_row(**changes: Any) -> dict[str, Any]:
    fields = {"concept": "seguir pedidos"} | read_answer(record("¿Qué falta?", 1), "requirements") | changes
    return {"messages": [{"role": "user", "content": "seguir pedidos"}], "record": fields, "metadata": {}}


def test_a_flawless_record_scores_one_by_every_metric_of_records() -> None:
    for name in ("completeness", "length", "yaml-valid", "requirements"):
        assert open_metric(name, packaged_profile("business-requirements"))(record_row()) == 1, name


# R93
@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ({"title": "x" * 200}, 0.5 * (1 - 0.5)),
        ({"description": "x" * 50}, 0.5 * (1 - 0.5)),
        ({"functional_requirements": "- id: FR001\n  text: solo uno\n"}, 1.5 * (0.5 / 3)),
        ({"constraints": "- id: C1\n  text: a\n- id: C2\n  text: b\n"}, 1.5 / 3),
        ({"constraints": "{"}, 1.5),
        ({"non_functional_requirements": ""}, 1.5 + 1 / 6),
    ],
)
def test_each_part_of_a_record_weighs_what_it_should(changes: dict[str, str], lost: float) -> None:
    score = open_metric("requirements", packaged_profile("business-requirements"))(record_row(**changes))
    assert score == pytest.approx(1 - lost / 6.5)


def test_length_goes_by_the_limits_of_the_profile() -> None:
    score = open_metric("length", packaged_profile("instruct"))
    asked = {"role": "user", "content": "¿Qué es una piñata?"}
    short, right = ({"messages": [asked, {"role": "assistant", "content": "x" * length}]} for length in (10, 20))
    assert score(right) == 1
    assert score(short) == (1 + 10 / 20) / 2


def test_a_function_of_the_operator_scores_and_what_it_does_wrong_is_told_without_the_row() -> None:
    profile = packaged_profile("instruct")
    assert open_metric("operator:truth", profile)({"messages": []}) == 1
    with pytest.raises(Unscored, match="math:sqrt raised TypeError"):
        open_metric("math:sqrt", profile)({"messages": []})
    with pytest.raises(Unscored, match=r"operator:length_hint returned 3\.0, expected a number from 0 to 1"):
        open_metric("operator:length_hint", profile)({"messages": [], "a": 1, "b": 2})


@pytest.mark.parametrize("name", ["nowhere:score", "math:nothing", "math:pi", "brilliance"])
def test_a_metric_that_is_not_there_is_refused_before_anything_is_asked(name: str) -> None:
    with pytest.raises(InvalidInput, match=name):
        open_metric(name, packaged_profile("instruct"))
