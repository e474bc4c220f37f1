"""Answers as requirement records."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from fragua_dataset.domain.profile_catalog import packaged_profile
from fragua_dataset.synthesis.metrics import open_metric
from fragua_evaluator.domain.metric_catalog import METRICS
from fragua_evaluator.scoring.metrics.requirements import business_requirements, requirements_quick

OPTIONS = METRICS["business_requirements"].defaults()


def record(**changes: Any) -> dict[str, Any]:
    return {
        "title": "Reservas de una clínica",
        "description": "Los pacientes reservan, cambian y anulan sus citas. " * 3,
        "functional_requirements": [
            {"id": "FR001", "description": "Reservar"},
            {"id": "FR002", "description": "Anular"},
        ],
        "non_functional_requirements": [{"id": "NFR001", "description": "Responde en 2 s"}],
        "constraints": ["C001: Cumple el RGPD"],
    } | changes


def as_yaml(fields: dict[str, Any] | list[Any]) -> str:
    return yaml.safe_dump(fields, allow_unicode=True, sort_keys=False)


# R93
@pytest.mark.parametrize(
    ("changes", "component", "part", "score"),
    [
        ({}, "completeness", 1.0, 1.0),
        # Half a point of six and a half hangs on the title: five of ten characters leave half of it.
        ({"title": "Citas"}, "title", 0.5, 6.25 / 6.5),
        ({"title": "x" * 200}, "title", 0.5, 6.25 / 6.5),
        # A fifth of completeness, and the description itself.
        ({"description": ""}, "description", 0.0, (0.8 + 0.5 + 4.5) / 6.5),
        ({"functional_requirements": [{"id": "FR001"}]}, "functional_requirements", (1 + 0.5 + 1) / 3, 6.25 / 6.5),
        ({"constraints": [{"id": "C01"}]}, "constraints", 2 / 3, 6 / 6.5),
        ({"constraints": ["RGPD"]}, "constraints", 2 / 3, 6 / 6.5),
        ({"non_functional_requirements": "rápido: [y"}, "non_functional_requirements", 0.0, 5 / 6.5),
        ({"non_functional_requirements": []}, "non_functional_requirements", 1 / 3, (0.8 + 1 + 3 + 0.5) / 6.5),
    ],
)
def test_each_part_of_a_record_counts_by_its_weight(
    changes: dict[str, Any], component: str, part: float, score: float
) -> None:
    value, components = business_requirements(as_yaml(record(**changes)), OPTIONS)
    assert components[component] == pytest.approx(part)
    assert value == pytest.approx(score)


# R159
def test_validity_quantity_and_ids_are_told_over_all_lists() -> None:
    _, components = business_requirements(as_yaml(record(constraints=["sin número"])), OPTIONS)
    assert (components["validity"], components["minimum"]) == (1, 1)
    assert components["ids"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    "answer",
    [
        json.dumps(record(), ensure_ascii=False),
        f"Aquí están los requisitos:\n```yaml\n{as_yaml(record())}```\n¡Suerte!",
        as_yaml(record(functional_requirements="- FR001: Reservar\n- FR002: Anular\n")),
        as_yaml(record(constraints=[{"C001": "RGPD"}])),
    ],
)
def test_a_record_is_read_from_yaml_json_fences_and_texts_of_yaml(answer: str) -> None:
    assert business_requirements(answer, OPTIONS)[0] == pytest.approx(1)


@pytest.mark.parametrize("answer", ["", "Lo siento, no puedo.", "- FR001: uno\n", "title: [", "x" * 1_000_000])
def test_what_is_no_record_scores_nothing(answer: str) -> None:
    value, components = business_requirements(answer, OPTIONS)
    assert value == 0
    assert set(components.values()) == {0.0}


def test_a_suite_may_ask_for_more() -> None:
    value, components = business_requirements(as_yaml(record()), OPTIONS | {"min_constraints": 2})
    assert components["minimum"] == pytest.approx(2.5 / 3)
    assert value < 1


# R69
@pytest.mark.parametrize(
    ("answer", "score", "components"),
    [
        (as_yaml(record()), 1.0, {"yaml_valid": 1.0, "functional_requirements": 1.0}),
        ("functional_requirements: [FR001]", 0.0, {"yaml_valid": 1.0, "functional_requirements": 0.0}),
        ("functional_requirements: [FR001", 0.0, {"yaml_valid": 0.0, "functional_requirements": 0.0}),
    ],
)
def test_the_quick_metric_asks_for_yaml_and_two_requirements(
    answer: str, score: float, components: dict[str, float]
) -> None:
    assert requirements_quick(answer, {"min_functional_requirements": 2}) == (score, components)


@pytest.mark.parametrize("title", ["Reservas de una clínica", "Citas"])
def test_a_synthesis_scores_the_same_record_alike(title: str) -> None:
    fields = record(title=title, non_functional_requirements=["NFR001. a", "NFR02. b"], constraints=["C001: a"])
    as_texts = {name: as_yaml(part) if isinstance(part, list) else part for name, part in fields.items()}
    theirs = open_metric("requirements", packaged_profile("business-requirements"))
    options = OPTIONS | {"min_non_functional_requirements": 2, "min_constraints": 2}
    ours, _ = business_requirements(as_yaml(fields), options)
    assert ours == pytest.approx(theirs({"record": {"concept": "Citas médicas"} | as_texts}))
