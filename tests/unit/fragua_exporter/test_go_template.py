"""Our renderer of Go templates against Go's own: go_template_cases.jsonl holds what Go 1.27 printed or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fragua_exporter.conversion.go_template import GoTemplate
from fragua_exporter.conversion.go_values import GoTemplateError
from tests.unit.fragua_exporter.chat_templates import PUBLISHED
from tests.unit.fragua_exporter.test_chat_template import format_of

CASES: list[dict[str, Any]] = [
    json.loads(line) for line in Path(__file__).with_name("go_template_cases.jsonl").read_text("utf-8").splitlines()
]


def render(case: dict[str, Any]) -> str:
    return GoTemplate(case["template"]).render({"System": case["system"], "Messages": case["messages"]})


@pytest.mark.parametrize(
    "case", [case for case in CASES if not case["refused"]], ids=lambda case: case["template"][:40]
)
# R192
def test_what_go_prints_is_printed_letter_by_letter(case: dict[str, Any]) -> None:
    assert render(case) == case["printed"]


@pytest.mark.parametrize("case", [case for case in CASES if case["refused"]], ids=lambda case: case["template"][:40])
def test_what_go_refuses_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(GoTemplateError):
        render(case)


@pytest.mark.parametrize(
    "template",
    ["{{ with .System }}x{{ end }}", "{{ $x := 1 }}{{ $x = 2 }}", '{{ printf "%s" .System }}', '{{ template "x" }}'],
)
def test_what_only_go_knows_is_refused_rather_than_guessed(template: str) -> None:
    with pytest.raises(GoTemplateError):
        GoTemplate(template).render({"System": "Sé breve.", "Messages": []})


def test_every_template_that_models_get_was_rendered_by_go() -> None:
    rendered = {case["template"] for case in CASES}
    assert {format_of(published.tokenizer()).template for published in PUBLISHED.values()} <= rendered
