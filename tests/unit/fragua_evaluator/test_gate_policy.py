"""Gate policies as data: what the packaged ones ask, and what is refused of others."""

from __future__ import annotations

import pytest

from fragua_evaluator.domain.gate_catalog import packaged_policies, parse_own_policy
from fragua_evaluator.domain.gate_policy import MAX_POLICY_BYTES, Criterion, parse_gate_policy
from fragua_evaluator.domain.verdict import Tier
from fragua_platform.errors import InvalidInput


def problems_of(text: str) -> dict[str, str]:
    with pytest.raises(InvalidInput) as refused:
        parse_own_policy(text)
    return {violation.field: violation.description for violation in refused.value.violations}


def threshold(policy: str, name: str) -> tuple[str, float, Tier]:
    (criterion,) = [criterion for criterion in packaged_policies()[policy].criteria if criterion.name == name]
    return criterion.in_words, criterion.threshold, criterion.tier


def test_packaged_policies_ask_what_is_required() -> None:
    policies = packaged_policies()
    assert list(policies) == ["adopt", "ba-acceptance", "base-model", "fine-tune"]
    assert policies["adopt"].improvement is not None
    assert policies["adopt"].improvement.points(0.72) == 0.05  # R98
    assert policies["fine-tune"].improvement is not None
    assert policies["fine-tune"].improvement.points(0.72) == pytest.approx(0.072)  # R160, R176
    assert threshold("fine-tune", "generalisation") == ("at least", 0.80, Tier.CRITICAL)  # R162
    assert threshold("fine-tune", "yaml-valid") == ("above", 0.90, Tier.CRITICAL)  # R175
    assert threshold("fine-tune", "speed") == ("above", 10, Tier.CRITICAL)  # R175
    assert threshold("fine-tune", "memory") == ("below", 8, Tier.CRITICAL)  # R175
    assert threshold("base-model", "score") == ("above", 0.65, Tier.CRITICAL)  # R131
    assert threshold("base-model", "yaml-valid") == ("above", 0.80, Tier.CRITICAL)  # R131
    assert threshold("ba-acceptance", "score") == ("at least", 0.90, Tier.CRITICAL)  # R120
    assert any("alpha 64" in option for option in policies["adopt"].next_options)  # R123


def test_a_policy_extends_a_packaged_one() -> None:
    strict = parse_own_policy("name: strict\nextends: adopt\nimprovement: {at_least: 0.1}\nalpha: 0.01\n")
    assert strict.improvement is not None
    assert (strict.improvement.at_least, strict.alpha, strict.min_items) == (0.1, 0.01, 20)
    assert strict.criteria == packaged_policies()["adopt"].criteria


def test_a_label_changes_with_what_the_policy_says_and_not_with_how_it_is_written() -> None:
    one = parse_gate_policy("name: mine\nimprovement: {at_least: 0.05}\n")
    same = parse_gate_policy("# mine\nimprovement:\n  at_least: 0.050\nname: mine\n")
    other = parse_gate_policy("name: mine\nimprovement: {at_least: 0.06}\n")
    assert one.label == same.label != other.label


def test_every_problem_of_a_policy_is_named_at_once() -> None:
    problems = problems_of(
        """
name: adopt
extends: nothing-known
alpha: 3
improvement: {at_least: -1}
minimum: 3
criteria:
  - {name: speed, measure: velocity}
  - {name: Speed, measure: score, at_least: 1}
"""
    )
    assert set(problems) == {
        "policy.name",
        "policy.extends",
        "policy.alpha",
        "policy.improvement.at_least",
        "policy.minimum",
        "policy.criteria.0",
        "policy.criteria.1.name",
    }
    assert "'velocity' is none of score, valid" in problems["policy.criteria.0"]
    assert "exactly one of at_least, above, at_most, below" in problems["policy.criteria.0"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name: mine\n", "it decides nothing"),
        ("name: mine\nselection: {}\nimprovement: {at_least: 0.1}\n", "leave improvement out"),
        (
            "name: mine\nselection: {}\ncriteria: [{name: a, measure: score, above: 0, tier: advisory}]\n",
            "at least one critical criterion",
        ),
        (
            "name: mine\ncriteria: [{name: votes, measure: score, above: 0}]\n",
            "votes: a name that the gate uses itself",
        ),
        (
            "name: mine\ncriteria: [{name: a, measure: score, above: 0}, {name: a, measure: valid, above: 0}]\n",
            "more than one criterion is named a",
        ),
        ("name: mine\ncriteria: [{name: a, measure: perplexity, below: 9, confident: true}]\n", "has no interval"),
        ("name: mine\ncriteria: [{name: a, measure: peak_rss_gib, below: 9, suite: x}]\n", "leave `suite` out"),
        ("- a list\n", "no map of names"),
        ("name: [\n", "no YAML"),
        ("a: &a [1]\nb: *a\n", "no YAML"),
        ("name: mine\nalpha: .nan\n", "valid number"),
        ("# " + "ñ" * MAX_POLICY_BYTES, "more than 65536 bytes"),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, problem: str) -> None:
    assert problem in "; ".join(problems_of(text).values())


def test_each_threshold_holds_on_its_own_side() -> None:
    def holds(**fields: float) -> list[bool]:
        criterion = Criterion(name="it", measure="score", **fields)  # type: ignore[arg-type]
        return [criterion.holds(value) for value in (0.4, 0.5, 0.6)]

    assert holds(at_least=0.5) == [False, True, True]
    assert holds(above=0.5) == [False, False, True]
    assert holds(at_most=0.5) == [True, True, False]
    assert holds(below=0.5) == [True, False, False]
