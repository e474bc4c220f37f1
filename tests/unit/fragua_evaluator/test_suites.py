"""Suites: the packaged ones, and users' own."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from fragua_evaluator.domain.arm import Role
from fragua_evaluator.domain.metric_catalog import check_metric_choice
from fragua_evaluator.domain.suite import SuiteKind
from fragua_evaluator.domain.suite_catalog import MAX_SUITE_BYTES, Rows, packaged_suites, parse_suite
from fragua_platform.errors import InvalidInput

EVALUATOR = Path(__file__).parents[3] / "services" / "evaluator"


def refusal(text: str) -> dict[str, str]:
    with pytest.raises(InvalidInput) as refused:
        parse_suite(text)
    return {violation.field: violation.description for violation in refused.value.violations}


def test_the_packaged_suites_are_there_and_choose_metrics_that_exist() -> None:
    assert list(packaged_suites()) == [
        "business-requirements",
        "generalisation",
        "multiple-choice",
        "perplexity",
        "stress",
        "tutor",
        "validation",
    ]
    for template in packaged_suites().values():
        assert template.description
        assert [problem for choice in template.metrics for problem in check_metric_choice(choice)] == []
        if template.rows is Rows.REQUIRED:
            assert template.suite("suites/rows.jsonl").rows == "suites/rows.jsonl"


# R163
def test_stress_asks_for_every_kind_of_case_in_two_languages() -> None:
    cases = packaged_suites()["stress"].cases
    kinds = Counter(case.tag for case in cases)
    assert set(kinds) == {"multi-domain", "complex-dependencies", "ambiguous", "enterprise-scale"}
    assert len(cases) >= 12
    assert min(kinds.values()) >= 3
    for kind in kinds:
        texts = [case.messages[-1].content for case in cases if case.tag == kind]
        assert any(re.search(r"\b(el|la|que)\b", text) for text in texts)
        assert any(re.search(r"\b(the|and)\b", text) for text in texts)


def test_each_case_of_a_suite_is_told_who_it_talks_to() -> None:
    template = packaged_suites()["stress"]
    for case in template.suite(rows=None).cases:
        assert [message.role for message in case.messages] == [Role.SYSTEM, Role.USER]
        assert case.messages[0].content == template.system


def test_a_suite_that_asks_rows_cannot_do_without() -> None:
    with pytest.raises(ValueError, match="name one"):
        packaged_suites()["validation"].suite(rows=None)


def test_an_own_suite_extends_a_packaged_one() -> None:
    suite = parse_suite("name: mi-rol\nextends: stress\nmax_items: 5\nmetrics:\n  - name: yaml_valid\n")
    stress = packaged_suites()["stress"]
    assert (suite.cases, suite.system) == (stress.cases, stress.system)
    assert (suite.max_items, [choice.name for choice in suite.metrics]) == (5, ["yaml_valid"])


def test_an_own_suite_stands_by_itself() -> None:
    suite = parse_suite(
        "name: capitales\nrows: none\nmetrics: [{name: contains}]\ncases:\n"
        "- {id: es, messages: [{role: user, content: ¿Capital de España?}], expected: Madrid}\n"
    )
    assert suite.suite(rows=None).cases[0].expected == "Madrid"
    assert suite.kind is SuiteKind.GENERATION


def test_all_problems_of_a_suite_are_told_at_once() -> None:
    found = refusal(
        "name: stress\nextends: stres\nkind: generation\nmax_items: 0\ncolour: red\n"
        "metrics: [{name: exactmatch}, {name: regex}]\n"
    )
    assert found.keys() == {
        "suite.extends",
        "suite.name",
        "suite.max_items",
        "suite.colour",
        "suite.metrics.0.name",
        "suite.metrics.1.options.pattern",
    }
    assert "did you mean 'exact_match'?" in found["suite.metrics.0.name"]


def test_all_problems_of_the_cases_are_told_at_once() -> None:
    found = refusal(
        "name: mine\nrows: none\nmetrics: [{name: token_f1}]\ncases:\n"
        "- {id: a, messages: [{role: user, content: uno}]}\n"
        "- {id: a, messages: [{role: assistant, content: dos}], expected: x}\n"
    )
    assert found.keys() == {"suite.cases", "suite.cases.0.expected", "suite.cases.1.messages"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no map"),
        ("- a", "no map"),
        ("a: [", "no YAML"),
        ("a: &a [1]\nb: *a", "aliases"),
        ("name: " + "x" * MAX_SUITE_BYTES, "more than"),
        ("1: a", "no map"),
        ("name: m\nmetrics: [{name: contains}]\nrows: none", "cases of its own"),
        ("name: m\nkind: perplexity\nmetrics: [{name: contains}]", "metric of its own"),
        ("name: m", "at least one metric"),
    ],
)
def test_what_is_no_suite_is_refused(text: str, words: str) -> None:
    assert words in "; ".join(refusal(text).values())


def test_a_function_of_ones_own_needs_the_operators_leave() -> None:
    text = "name: mine\nmetrics: [{name: 'acme_metrics:score'}]"
    assert parse_suite(text, ["acme_metrics."]).metrics[0].name == "acme_metrics:score"
    with pytest.raises(InvalidInput, match="not allowed"):
        parse_suite(text, [])


def test_the_suite_of_the_readme_is_one() -> None:
    of_suites = (EVALUATOR / "README.md").read_text("utf-8").partition("\n## Suites\n")[2]
    [text] = re.findall(r"```yaml\n(.*?)```", of_suites, re.DOTALL)
    assert [choice.name for choice in parse_suite(text).metrics] == ["json_schema", "stop_behaviour"]


def test_suites_ship_in_the_wheel(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=EVALUATOR, check=True, capture_output=True, timeout=60)
    [wheel] = tmp_path.glob("*.whl")
    packed = {Path(name).stem for name in zipfile.ZipFile(wheel).namelist() if "/suites/" in name}
    assert packed == set(packaged_suites())
