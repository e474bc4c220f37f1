"""What the gate says, rule by rule: on real statistics of made-up scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from fragua_evaluator.domain.gate import VoteCount, judge
from fragua_evaluator.domain.gate_catalog import packaged_policies
from fragua_evaluator.domain.gate_policy import GatePolicy, parse_gate_policy
from fragua_evaluator.domain.report import EvaluationReport
from fragua_evaluator.domain.suite import SuiteKind
from fragua_evaluator.domain.verdict import Outcome, Reason, ReasonState, Tier, Verdict
from fragua_platform.errors import InvalidInput
from tests.judged_reports import Measures, report_of, right

GO, NO_GO, INCONCLUSIVE = Outcome.GO, Outcome.NO_GO, Outcome.INCONCLUSIVE


def policy_of(**fields: Any) -> GatePolicy:
    return parse_gate_policy({"name": "test", **fields})


FIVE_POINTS = policy_of(improvement={"at_least": 0.05})


def evaluation(
    *arms: Sequence[float], measures: Mapping[str, Measures] | None = None, names: str = "base prompt tuned"
) -> EvaluationReport:
    """Of two arms, base and tuned; of three, with a prompt between."""
    used = names.split() if len(arms) == 3 else [names.split()[0], names.split()[-1]]
    return report_of({"validation": dict(zip(used, arms, strict=True))}, measures)


def reason_of(verdict: Verdict, criterion: str) -> Reason:
    (reason,) = [reason for reason in verdict.reasons if reason.criterion == criterion]
    return reason


def test_a_clear_improvement_is_a_go() -> None:
    verdict = judge(FIVE_POINTS, evaluation(right(120, 200), right(150, 200)))
    assert verdict.outcome is GO
    assert (verdict.baseline, verdict.candidate, verdict.recommended_arm) == ("base", "tuned", "tuned")
    reason = reason_of(verdict, "improvement")
    assert (reason.state, reason.threshold) == (ReasonState.MET, 0.05)
    assert reason.measured == pytest.approx(0.15)
    assert "+15.0 points" in reason.text
    assert "asked: at least +5.0 points" in reason.text


def test_a_small_improvement_on_few_items_is_inconclusive_and_says_how_many_it_takes() -> None:
    """From 22 items most moves of five points cannot be told from chance."""
    verdict = judge(FIVE_POINTS, evaluation(right(14, 22), right(16, 22)))
    assert (verdict.outcome, verdict.recommended_arm) == (INCONCLUSIVE, "base")
    reason = reason_of(verdict, "improvement")
    assert reason.state is ReasonState.UNDECIDED
    assert "With 22 items a true difference of +5.0 points is found in" in reason.text
    assert "would need about" in reason.text


def test_an_interval_that_excludes_the_minimum_is_a_no_go() -> None:
    same = right(120, 200)
    verdict = judge(FIVE_POINTS, evaluation(same, same))
    assert (verdict.outcome, verdict.recommended_arm) == (NO_GO, "base")
    assert "which the interval excludes" in reason_of(verdict, "improvement").text


def test_a_candidate_that_is_clearly_worse_is_a_no_go() -> None:
    assert judge(FIVE_POINTS, evaluation(right(150, 200), right(110, 200))).outcome is NO_GO


def test_better_for_sure_but_by_less_than_the_minimum_keeps_the_simpler_arm() -> None:  # R98
    verdict = judge(FIVE_POINTS, evaluation(right(120, 200), right(129, 200)))
    assert reason_of(verdict, "improvement").measured == pytest.approx(0.045)
    assert (verdict.outcome, verdict.recommended_arm) == (INCONCLUSIVE, "base")
    assert "whether by +5.0 points the data do not tell" in reason_of(verdict, "improvement").text


def test_a_large_improvement_that_may_be_chance_is_no_go_for_nobody() -> None:
    verdict = judge(FIVE_POINTS, evaluation(right(3, 10), right(6, 10)))
    assert verdict.outcome is INCONCLUSIVE


def test_a_go_needs_to_beat_every_simpler_arm() -> None:
    base, prompt, tuned = right(80, 200), right(148, 200), right(150, 200)
    verdict = judge(FIVE_POINTS, evaluation(base, prompt, tuned))
    assert [reason.state for reason in verdict.reasons] == [ReasonState.MET, ReasonState.UNMET]
    assert (verdict.outcome, verdict.recommended_arm) == (NO_GO, "prompt")


def test_a_prompt_that_is_not_clearly_better_is_not_recommended_either() -> None:  # R98
    verdict = judge(FIVE_POINTS, evaluation(right(120, 200), right(124, 200), right(122, 200)))
    assert verdict.recommended_arm == "base"


def test_of_many_simpler_arms_the_luckiest_is_not_recommended() -> None:
    """Six of 100 questions more, and none less, has p = 0.03: of six prompts one often gets as far by chance."""
    prompts = {f"prompt-{number}": right(60, 100) for number in range(5)}
    scores = {"base": right(60, 100), **prompts, "lucky": right(66, 100), "tuned": right(60, 100)}
    verdict = judge(FIVE_POINTS, report_of({"validation": scores}))
    assert verdict.recommended_arm == "base"
    alone = {"base": right(60, 100), "lucky": right(66, 100), "tuned": right(60, 100)}
    assert judge(FIVE_POINTS, report_of({"validation": alone})).recommended_arm == "base"
    sure = {"base": right(60, 100), **prompts, "better": right(80, 100), "tuned": right(60, 100)}
    assert judge(FIVE_POINTS, report_of({"validation": sure})).recommended_arm == "better"


def test_a_relative_minimum_is_taken_of_the_simpler_arms_score() -> None:  # R160
    a_tenth = policy_of(improvement={"at_least": 0.10, "measured_in": "relative"})
    verdict = judge(a_tenth, evaluation(right(100, 200), right(112, 200)))
    reason = reason_of(verdict, "improvement")
    assert (verdict.outcome, reason.threshold) == (GO, 0.05)
    assert "at least +10.0 %, here +5.0 points" in reason.text


def test_the_named_suites_have_to_improve_all() -> None:
    scores = {
        "validation": {"base": right(100, 200), "tuned": right(150, 200)},
        "stress": {"base": right(100, 200), "tuned": right(100, 200)},
    }
    both = policy_of(improvement={"at_least": 0.05, "suites": ["validation", "stress"]})
    assert judge(both, report_of(scores)).outcome is NO_GO
    assert judge(FIVE_POINTS, report_of(scores)).outcome is GO


def test_log_likelihoods_have_no_points_that_could_improve() -> None:
    """+0.05 in a token's log-likelihood is nothing like five points of a score."""
    base = [-2.0 - number % 7 / 10 for number in range(200)]
    report = report_of({"fluency": {"base": base, "tuned": [score + 0.06 for score in base]}}, graded=True)
    weighed = [arm.suites[0].model_copy(update={"kind": SuiteKind.PERPLEXITY}) for arm in report.arms]
    arms = tuple(arm.model_copy(update={"suites": (suite,)}) for arm, suite in zip(report.arms, weighed, strict=True))
    report = report.model_copy(update={"arms": arms})
    verdict = judge(FIVE_POINTS, report)
    assert (verdict.outcome, verdict.recommended_arm) == (INCONCLUSIVE, "base")
    reason = reason_of(verdict, "improvement")
    assert (reason.state, reason.measured) == (ReasonState.NOT_MEASURED, None)
    assert "let improvement.suites name a suite" in reason.text
    relative = policy_of(improvement={"at_least": 0.02, "measured_in": "relative"})
    assert judge(relative, report).outcome is GO


def test_without_a_simpler_arm_an_improvement_is_not_measured() -> None:
    verdict = judge(FIVE_POINTS, report_of({"validation": {"tuned": right(20, 22)}}))
    assert (verdict.outcome, verdict.recommended_arm) == (INCONCLUSIVE, None)
    assert reason_of(verdict, "improvement").state is ReasonState.NOT_MEASURED


def test_a_policy_may_name_its_candidate() -> None:
    named = policy_of(improvement={"at_least": 0.05}, candidate="prompt")
    report = evaluation(right(100, 200), right(150, 200), right(100, 200))
    assert (judge(named, report).outcome, judge(named, report).candidate) == (GO, "prompt")
    with pytest.raises(InvalidInput, match="no arm of this evaluation; it has base, prompt, tuned"):
        judge(policy_of(improvement={"at_least": 0.05}, candidate="nobody"), report)


def criterion(**fields: Any) -> GatePolicy:
    return policy_of(criteria=[{"name": "it", **fields}])


def judged(policy: GatePolicy, scores: Sequence[float], **measures: Any) -> tuple[Outcome, ReasonState]:
    verdict = judge(policy, report_of({"validation": {"tuned": scores}}, {"tuned": Measures(**measures)}))
    return verdict.outcome, reason_of(verdict, "it").state


@pytest.mark.parametrize(
    ("fields", "measured", "outcome", "state"),
    [
        ({"measure": "score", "at_least": 0.8}, {}, GO, ReasonState.MET),
        # 90 % of 100, interval from 82.6 % on.
        ({"measure": "score", "at_least": 0.85, "confident": True}, {}, INCONCLUSIVE, ReasonState.UNDECIDED),
        ({"measure": "score", "at_least": 0.80, "confident": True}, {}, GO, ReasonState.MET),
        ({"measure": "score", "at_least": 0.92}, {}, INCONCLUSIVE, ReasonState.UNDECIDED),
        ({"measure": "score", "at_least": 0.97}, {}, NO_GO, ReasonState.UNMET),
        ({"measure": "score", "at_most": 0.5}, {}, NO_GO, ReasonState.UNMET),
        ({"measure": "score", "suite": "stress", "at_least": 0.8}, {}, INCONCLUSIVE, ReasonState.NOT_MEASURED),
        ({"measure": "score", "metric": "chrf", "at_least": 0.8}, {}, INCONCLUSIVE, ReasonState.NOT_MEASURED),
        ({"measure": "valid", "above": 0.9}, {"checks": {"valid": 0.95}}, GO, ReasonState.MET),
        ({"measure": "valid", "above": 0.9}, {"checks": {"valid": 0.9}}, INCONCLUSIVE, ReasonState.UNDECIDED),
        ({"measure": "valid", "above": 0.9}, {"checks": {"valid": 0.5}}, NO_GO, ReasonState.UNMET),
        ({"measure": "valid", "at_least": 1.0}, {"checks": {"valid": 1.0}}, GO, ReasonState.MET),
        ({"measure": "valid", "at_least": 1.0}, {"checks": {"valid": 0.99}}, NO_GO, ReasonState.UNMET),
        ({"measure": "complete", "above": 0.9}, {}, INCONCLUSIVE, ReasonState.NOT_MEASURED),
        ({"measure": "component:title", "above": 0.5}, {"components": {"title": 0.7}}, GO, ReasonState.MET),
        ({"measure": "tokens_per_second", "above": 10}, {"tokens_per_second": 10.0}, NO_GO, ReasonState.UNMET),
        ({"measure": "tokens_per_second", "above": 10}, {"tokens_per_second": 10.1}, GO, ReasonState.MET),
        (
            {"measure": "peak_rss_gib", "below": 8},
            {"peak_gib": None},
            INCONCLUSIVE,
            ReasonState.NOT_MEASURED,
        ),
        ({"measure": "peak_rss_gib", "below": 8}, {"peak_gib": 7.9}, GO, ReasonState.MET),
        ({"measure": "failed_share", "at_most": 0.05}, {"failed_share": 0.06}, NO_GO, ReasonState.UNMET),
        (
            {"measure": "failed_share", "suite": "validation", "at_most": 0.05},
            {"failed_share": 0.05},
            GO,
            ReasonState.MET,
        ),
        ({"measure": "perplexity", "below": 20}, {"perplexity": 12.5}, GO, ReasonState.MET),
    ],
)
def test_a_criterion_is_met_unmet_or_undecided_by_what_was_measured(
    fields: dict[str, Any], measured: dict[str, Any], outcome: Outcome, state: ReasonState
) -> None:
    assert judged(criterion(**fields), right(90, 100), **measured) == (outcome, state)


def test_an_improvement_may_be_a_criterion_of_its_own() -> None:  # R175
    kpi = criterion(measure="improvement_relative", at_least=0.15)
    verdict = judge(kpi, evaluation(right(100, 200), right(150, 200)))
    assert (verdict.outcome, reason_of(verdict, "it").measured) == (GO, 0.5)


@pytest.mark.parametrize(
    ("tier", "share", "outcome"),
    [
        ("critical", 0.2, NO_GO),
        ("supporting", 0.2, INCONCLUSIVE),
        ("advisory", 0.2, GO),
        # What is not known of a supporting criterion keeps nobody from a GO; of a critical one it does.
        ("critical", None, INCONCLUSIVE),
        ("supporting", None, GO),
    ],
)
def test_a_tier_says_what_an_unmet_criterion_does(tier: str, share: float | None, outcome: Outcome) -> None:
    policy = policy_of(
        improvement={"at_least": 0.05},
        criteria=[{"name": "it", "measure": "valid", "above": 0.9, "tier": tier}],
    )
    measures = {"tuned": Measures(checks={} if share is None else {"valid": share})}
    assert judge(policy, evaluation(right(100, 200), right(150, 200), measures=measures)).outcome is outcome


def test_a_required_suite_that_was_not_asked_leaves_it_open() -> None:
    policy = policy_of(improvement={"at_least": 0.05}, required_suites=["validation", "stress"])
    verdict = judge(policy, evaluation(right(100, 200), right(150, 200)))
    assert verdict.outcome is INCONCLUSIVE
    assert "required but not asked: stress" in reason_of(verdict, "required-suites").text


def test_too_few_items_leave_it_open_however_good_they_look() -> None:
    policy = policy_of(improvement={"at_least": 0.05}, min_items=20)
    verdict = judge(policy, evaluation(right(0, 19), right(19, 19)))
    assert (verdict.outcome, reason_of(verdict, "min-items").measured) == (INCONCLUSIVE, 19)
    assert judge(policy, evaluation(right(0, 20), right(20, 20))).outcome is GO


@pytest.mark.parametrize(
    ("votes", "state", "outcome"),
    [
        (None, ReasonState.NOT_MEASURED, INCONCLUSIVE),
        (VoteCount(candidate=9), ReasonState.UNDECIDED, INCONCLUSIVE),
        (VoteCount(candidate=6, other=4), ReasonState.MET, GO),
        (VoteCount(candidate=4, other=4, ties=4), ReasonState.MET, GO),
        (VoteCount(candidate=5, other=6), ReasonState.UNDECIDED, INCONCLUSIVE),
        (VoteCount(candidate=2, other=18), ReasonState.UNMET, NO_GO),
    ],
)
def test_votes_may_be_a_member_of_the_gate(votes: VoteCount | None, state: ReasonState, outcome: Outcome) -> None:
    policy = policy_of(
        improvement={"at_least": 0.05}, votes={"min_votes": 10, "share_at_least": 0.5, "tier": "critical"}
    )
    verdict = judge(policy, evaluation(right(100, 200), right(150, 200)), votes)
    assert (reason_of(verdict, "votes").state, verdict.outcome) == (state, outcome)


def test_many_votes_on_few_items_are_no_more_evidence_than_these_items() -> None:
    rule = policy_of(
        improvement={"at_least": 0.05},
        votes={"min_votes": 10, "share_at_least": 0.5, "confident": True, "tier": "critical"},
    )
    report = evaluation(right(100, 200), right(150, 200))
    everybody_on_four = judge(rule, report, VoteCount(candidate=36, other=12, items=4))
    assert reason_of(everybody_on_four, "votes").state is ReasonState.UNDECIDED
    assert "on 4 items" in reason_of(everybody_on_four, "votes").text
    each_on_another = judge(rule, report, VoteCount(candidate=36, other=12, items=48))
    assert reason_of(each_on_another, "votes").state is ReasonState.MET


def candidates(**speeds: float) -> EvaluationReport:
    """Base models with their right answers of 25, and speeds."""
    scores = {name.replace("_", "-"): right(17 + place, 25) for place, name in enumerate(speeds)}
    measures = {
        name.replace("_", "-"): Measures(tokens_per_second=speed, checks={"valid": 0.96})
        for name, speed in speeds.items()
    }
    return report_of({"validation": scores}, measures)


def test_the_base_model_with_the_best_score_of_those_that_meet_the_rule_wins() -> None:  # R131
    verdict = judge(packaged_policies()["base-model"], candidates(phi=15, qwen=18, mistral=8))
    assert (verdict.outcome, verdict.recommended_arm) == (GO, "qwen")
    assert reason_of(verdict, "speed/mistral").state is ReasonState.UNMET
    lead = reason_of(verdict, "winner-lead")
    assert (lead.tier, lead.state) == (Tier.ADVISORY, ReasonState.UNDECIDED)


def test_when_no_base_model_meets_the_rule_each_ones_why_is_told() -> None:  # R131
    verdict = judge(packaged_policies()["base-model"], candidates(phi=5, mistral=8))
    assert (verdict.outcome, verdict.recommended_arm) == (NO_GO, None)
    winner = reason_of(verdict, "winner")
    assert winner.text == "none meets the rule: phi: speed unmet (5, asked 10); mistral: speed unmet (8, asked 10)"


def test_base_models_that_were_not_measured_enough_leave_it_open() -> None:
    report = report_of({"validation": {"qwen": right(20, 25)}}, {"qwen": Measures(peak_gib=None, checks={"valid": 1})})
    verdict = judge(packaged_policies()["base-model"], report)
    assert (verdict.outcome, verdict.recommended_arm) == (INCONCLUSIVE, None)
    assert "memory not measured" in reason_of(verdict, "winner").text


def test_the_same_report_and_policy_give_the_same_verdict() -> None:
    report = evaluation(right(120, 200), right(140, 200))
    assert judge(FIVE_POINTS, report) == judge(FIVE_POINTS, report)


@pytest.mark.parametrize("name", ["adopt", "fine-tune", "base-model", "ba-acceptance"])
def test_every_packaged_policy_says_go_to_a_candidate_that_has_it_all(name: str) -> None:
    good = Measures(checks={"valid": 1.0, "complete": 1.0})
    scores = {suite: {"base": right(110, 200), "tuned": right(190, 200)} for suite in ("validation", "generalisation")}
    report = report_of(scores, {"base": good, "tuned": good})
    verdict = judge(packaged_policies()[name], report)
    assert (verdict.outcome, verdict.recommended_arm) == (GO, "tuned"), verdict.reasons
    assert verdict.policy.startswith(f"{name}@")
