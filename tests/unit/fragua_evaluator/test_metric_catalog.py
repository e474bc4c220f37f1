"""What may be chosen as a metric."""

from __future__ import annotations

from typing import Any

import pytest

from fragua_evaluator.domain.metric_catalog import METRICS, check_metric_choice, is_allowed, options_of, parse_allowed
from fragua_evaluator.domain.suite import MetricChoice


def problems(name: str, allowed: tuple[str, ...] | None = None, **options: Any) -> list[tuple[str, str]]:
    found = check_metric_choice(MetricChoice(name=name, options=options), "metrics.0", allowed)
    return [(problem.field, problem.description) for problem in found]


def test_an_unknown_metric_is_told_with_the_nearest_name() -> None:
    [(field, description)] = problems("rouge-l".replace("-", ""))
    assert field == "metrics.0.name"
    assert "did you mean 'rouge_l'?" in description


def test_all_problems_of_the_options_are_told_at_once() -> None:
    found = problems("regex", patern="a", match="somewhere", ignore_case="yes")
    assert [field for field, _ in found] == [
        "metrics.0.options.patern",
        "metrics.0.options.pattern",
        "metrics.0.options.match",
        "metrics.0.options.ignore_case",
    ]
    assert "did you mean 'pattern'?" in found[0][1]
    assert "search, full" in found[2][1]


@pytest.mark.parametrize(
    ("name", "options", "field", "words"),
    [
        ("regex", {"pattern": "(a"}, "pattern", "no regular expression"),
        ("regex", {"pattern": ""}, "pattern", "1 to 10000 characters"),
        ("checklist", {}, "", "needs a point"),
        ("checklist", {"wanted": {"a": "["}}, "wanted", "'a': it is no regular expression"),
        ("checklist", {"wanted": {"a": "x"}, "unwanted": {"a": "y"}}, "unwanted", "a wanted point as well"),
        ("checklist", {"wanted": {str(n): "x" for n in range(65)}}, "", "at most 64"),
        ("json_schema", {"schema": "object"}, "schema", "expected a map"),
        ("json_schema", {}, "schema", "it is missing"),
        ("business_requirements", {"min_constraints": -1}, "min_constraints", "a whole number"),
        ("business_requirements", {"min_constraints": True}, "min_constraints", "a whole number"),
        ("business_requirements", {"min_title_chars": 200}, "max_title_chars", "no title fits"),
        ("exact_match", {"strict": True}, "strict", "takes no options"),
        ("acme.metrics:score", {"a": 1}, "", "takes no options"),
    ],
)
def test_an_option_of_another_kind_is_refused(name: str, options: dict[str, Any], field: str, words: str) -> None:
    [(at, description)] = problems(name, **options)
    assert at == ".".join(filter(None, ["metrics.0.options", field]))
    assert words in description


def test_numbers_that_came_through_json_as_floats_are_whole() -> None:
    assert problems("business_requirements", min_constraints=2.0) == []


def test_every_metric_is_described_and_its_defaults_are_what_it_takes() -> None:
    for name, metric in METRICS.items():
        assert metric.description.endswith(".")
        required = {option.name for option in metric.options if option.required}
        for option in metric.options:
            assert option.name in required or option.problem_of(option.default) == "", (name, option.name)


def test_chosen_options_stand_beside_the_defaults() -> None:
    assert options_of(MetricChoice(name="regex", options={"pattern": "a"})) == {
        "pattern": "a",
        "match": "search",
        "ignore_case": False,
    }


# R130
@pytest.mark.parametrize(
    ("name", "allowed", "may"),
    [
        ("acme_metrics.quality:score", "acme_metrics.", True),
        ("acme_metrics.quality:score", "acme_metrics", True),
        ("acme_metrics:score", "acme_metrics.", True),
        ("acme_metrics.quality:score", " other , acme_metrics.quality:score", True),
        ("acme_metrics.quality:delete", "acme_metrics.quality:score", False),
        ("acme_metrics_evil:score", "acme_metrics", False),
        ("os:system", "", False),
        ("os:system", ",.", False),
    ],
)
def test_a_function_of_ones_own_needs_the_operators_leave(name: str, allowed: str, may: bool) -> None:
    assert is_allowed(name, parse_allowed(allowed)) is may
    assert (problems(name, parse_allowed(allowed)) == []) is may
    assert problems(name) == []
