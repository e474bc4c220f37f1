"""`fragua eval`: what is asked of the service."""

from __future__ import annotations

from tests.unit.fragua_cli.conftest import Fragua
from tests.unit.fragua_cli.suite_double import SuiteDouble

ARMS = ("--arm", "base=base-of:3", "--arm", "tuned=adapter:3", "--branch", "tutor", "--no-watch")


def test_a_metric_is_for_the_suites_that_generate_answers(fragua: Fragua, suite: SuiteDouble) -> None:
    suites = ("--suite", "validation", "--suite", "multiple-choice", "--suite", "perplexity")
    done = fragua("eval", "compare", *ARMS, *suites, "--metric", "exact_match")
    assert done.exit_code == 0, done.output
    [request] = suite.evaluator.ordered
    assert [[metric.name for metric in each.metrics] for each in request.evaluation.suites] == [["exact_match"], [], []]


def test_a_metric_that_no_suite_takes_is_left_for_the_service_to_refuse(fragua: Fragua, suite: SuiteDouble) -> None:
    assert fragua("eval", "compare", *ARMS, "--suite", "perplexity", "--metric", "exact_match").exit_code == 0
    [request] = suite.evaluator.ordered
    assert [metric.name for metric in request.evaluation.suites[0].metrics] == ["exact_match"]
