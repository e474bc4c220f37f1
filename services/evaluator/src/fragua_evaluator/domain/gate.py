"""Judges an evaluation by a gate policy: GO, NO_GO, or not enough data to say."""

from __future__ import annotations

from collections.abc import Sequence

from fragua_evaluator.domain.gate_measures import main_suite
from fragua_evaluator.domain.gate_policy import GatePolicy
from fragua_evaluator.domain.gate_reasons import (
    VoteCount,
    criterion_reason,
    improvement_reasons,
    items_needed,
    points,
    suite_reasons,
    vote_reasons,
)
from fragua_evaluator.domain.report import ArmReport, EvaluationReport
from fragua_evaluator.domain.verdict import Outcome, Reason, ReasonState, Tier, Verdict
from fragua_platform.errors import InvalidInput, Violation

__all__ = ["VoteCount", "items_needed", "judge"]


def judge(policy: GatePolicy, report: EvaluationReport, votes: VoteCount | None = None) -> Verdict:
    """GO needs every critical criterion met, and over each simpler arm a significant improvement whose measured size is
    at least the policy's minimum. NO_GO is said when a critical criterion is clearly unmet, or the interval of a
    difference excludes the minimum. Everything else is INCONCLUSIVE.

    As the candidate has to win against every simpler arm, a false GO is no likelier than in one test at `alpha`, so
    p-values are taken as they are. Raises InvalidInput when the policy's candidate is no arm of this evaluation.
    """
    if policy.selection is not None:
        return _select(policy, policy.selection.suite or main_suite(report), report)
    candidate, simpler = _arms(policy, report)
    reasons = [
        *improvement_reasons(policy, report, candidate.arm, simpler),
        *(criterion_reason(report, candidate, criterion) for criterion in policy.criteria),
        *suite_reasons(policy, report, [*simpler, candidate.arm]),
        *vote_reasons(policy.votes, votes),
    ]
    outcome = _outcome(reasons)
    kept = _simpler_arm_to_keep(policy, report, simpler)
    return Verdict(
        outcome=outcome,
        policy=policy.label,
        baseline=simpler[0] if simpler else candidate.arm,
        candidate=candidate.arm,
        recommended_arm=candidate.arm if outcome is Outcome.GO else kept,
        reasons=tuple(reasons),
    )


def _arms(policy: GatePolicy, report: EvaluationReport) -> tuple[ArmReport, list[str]]:
    """The candidate, and the arms before it."""
    names = [arm.arm for arm in report.arms]
    name = policy.candidate or names[-1]
    if name not in names:
        problem = f"{name!r} is no arm of this evaluation; it has {', '.join(names)}"
        raise InvalidInput(
            f"the gate policy {policy.name}: {problem}", violations=[Violation("policy.candidate", problem)]
        )
    return report.arm(name), names[: names.index(name)]


def _outcome(reasons: Sequence[Reason]) -> Outcome:
    critical = {reason.state for reason in reasons if reason.tier is Tier.CRITICAL}
    supporting = {reason.state for reason in reasons if reason.tier is Tier.SUPPORTING}
    if ReasonState.UNMET in critical:
        return Outcome.NO_GO
    return Outcome.GO if critical <= {ReasonState.MET} and ReasonState.UNMET not in supporting else Outcome.INCONCLUSIVE


def _simpler_arm_to_keep(policy: GatePolicy, report: EvaluationReport, simpler: Sequence[str]) -> str | None:
    """The first one, unless a later one is better than it by as much as the candidate would have to be. The more of them
    there are, the likelier one looks better by chance, so here Holm's values count."""
    if not simpler:
        return None
    kept = simpler[0]
    for arm in simpler[1:]:
        over_kept = improvement_reasons(policy, report, arm, [kept], one_of_many=True)
        if over_kept and all(reason.state is ReasonState.MET for reason in over_kept):
            kept = arm
    return kept


def _select(policy: GatePolicy, suite: str, report: EvaluationReport) -> Verdict:
    """The arm with the best score among those that meet every critical criterion."""
    reasons_of = {
        arm.arm: [criterion_reason(report, arm, criterion) for criterion in policy.criteria] for arm in report.arms
    }
    shared = suite_reasons(policy, report, [arm.arm for arm in report.arms])
    # From the best score down; of equal scores the earlier arm, which is the simpler one.
    ranked = sorted(report.arms, key=lambda arm: -_score(arm, suite))
    outcomes = {arm.arm: _outcome(reasons_of[arm.arm]) for arm in ranked}
    fit = [arm for arm in ranked if outcomes[arm.arm] is Outcome.GO and _score(arm, suite) > float("-inf")]
    if fit and _outcome(shared) is Outcome.GO:
        outcome = Outcome.GO
    else:
        outcome = Outcome.NO_GO if set(outcomes.values()) == {Outcome.NO_GO} else Outcome.INCONCLUSIVE
    winner = fit[0] if outcome is Outcome.GO else None
    return Verdict(
        outcome=outcome,
        policy=policy.label,
        baseline=report.arms[0].arm,
        candidate=(winner or ranked[0]).arm,
        recommended_arm=winner.arm if winner else None,
        reasons=(
            _winner_reason(suite, fit, outcome, reasons_of),
            *_margin_reasons(policy, report, suite, fit),
            *shared,
            *(
                reason.model_copy(update={"criterion": f"{reason.criterion}/{arm}"})
                for arm, reasons in reasons_of.items()
                for reason in reasons
            ),
        ),
    )


def _score(arm: ArmReport, suite: str) -> float:
    result = arm.suite(suite)
    return result.metrics[0].score if result is not None and result.metrics else float("-inf")


def _winner_reason(
    suite: str, fit: Sequence[ArmReport], outcome: Outcome, reasons_of: dict[str, list[Reason]]
) -> Reason:
    if fit and outcome is Outcome.GO:
        others = ", ".join(f"{arm.arm} {_score(arm, suite):.3f}" for arm in fit[1:]) or "no other"
        text = f"{fit[0].arm} has the best score on suite {suite} of the arms that meet the rule: "
        text += f"{_score(fit[0], suite):.3f}; {others}"
    elif fit:
        text = f"{', '.join(arm.arm for arm in fit)} would meet the rule, but there is not enough to judge by"
    else:
        why = "; ".join(f"{arm}: {_unfit_in_words(reasons)}" for arm, reasons in reasons_of.items())
        text = f"none meets the rule: {why}"
    return Reason(
        criterion="winner",
        tier=Tier.CRITICAL,
        state=_STATE_OF[outcome],
        measured=_score(fit[0], suite) if fit else None,
        threshold=None,
        text=text,
    )


_STATE_OF = {
    Outcome.GO: ReasonState.MET,
    Outcome.NO_GO: ReasonState.UNMET,
    Outcome.INCONCLUSIVE: ReasonState.UNDECIDED,
}


def _unfit_in_words(reasons: Sequence[Reason]) -> str:
    against = [
        reason
        for reason in reasons
        if (reason.tier is Tier.CRITICAL and reason.state is not ReasonState.MET)
        or (reason.tier is Tier.SUPPORTING and reason.state is ReasonState.UNMET)
    ]
    return (
        ", ".join(
            f"{reason.criterion} {reason.state.value.replace('_', ' ')}"
            + ("" if reason.measured is None else f" ({reason.measured:.4g}, asked {reason.threshold:g})")
            for reason in against
        )
        or "it has no score"
    )


def _margin_reasons(policy: GatePolicy, report: EvaluationReport, suite: str, fit: Sequence[ArmReport]) -> list[Reason]:
    """How sure the winner's lead over the next one is; the rule asks only for the best score, so this changes nothing."""
    if len(fit) < 2:
        return []
    pair = {fit[0].arm, fit[1].arm}
    compared = next((c for c in report.comparisons if c.suite == suite and {c.baseline, c.arm} == pair), None)
    if compared is None:
        return []
    sure = compared.p_value <= policy.alpha
    lead = abs(compared.difference)
    text = f"{fit[0].arm} leads {fit[1].arm} by {points(lead)} ({compared.test}, p = {compared.p_value:.3g})"
    return [
        Reason(
            criterion="winner-lead",
            tier=Tier.ADVISORY,
            state=ReasonState.MET if sure else ReasonState.UNDECIDED,
            measured=lead,
            threshold=None,
            text=text if sure else f"{text}: by these items the two cannot be told apart",
        )
    ]
