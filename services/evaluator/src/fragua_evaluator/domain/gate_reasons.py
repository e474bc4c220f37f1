"""The reasons of a verdict: each part of a gate policy held against the report, with every number."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydantic import NonNegativeInt

from fragua_evaluator.domain.frozen import Frozen
from fragua_evaluator.domain.gate_measures import Measured, comparison, main_suite, measure, wilson
from fragua_evaluator.domain.gate_policy import Criterion, GatePolicy, Improvement, Unit, VoteRule
from fragua_evaluator.domain.report import ArmReport, EvaluationReport, PairedComparison
from fragua_evaluator.domain.suite import SuiteKind
from fragua_evaluator.domain.verdict import Reason, ReasonState, Tier


class VoteCount(Frozen):
    """What people preferred who compared the candidate's answers with another arm's, not knowing whose they were."""

    candidate: NonNegativeInt = 0
    other: NonNegativeInt = 0
    ties: NonNegativeInt = 0
    items: NonNegativeInt = 0
    """That they voted on; 0 where each vote was on another one."""

    @property
    def votes(self) -> int:
        return self.candidate + self.other + self.ties

    @property
    def independent(self) -> int:
        """Of how many draws the share is: what ten people say of one item is one item's worth of evidence."""
        return min(self.items or self.votes, self.votes)


def improvement_reasons(
    policy: GatePolicy, report: EvaluationReport, candidate: str, simpler: Sequence[str], *, one_of_many: bool = False
) -> list[Reason]:
    """One for each simpler arm and suite: every one of them has to be met, so no correction for many is due.

    `one_of_many`: whether `candidate` is looked at because it may be the best of several; then Holm's values count.
    """
    improvement = policy.improvement
    if improvement is None:
        return []
    if not simpler:
        text = f"there is no simpler arm that {candidate} could improve on; name one"
        return [_improvement(improvement, ReasonState.NOT_MEASURED, None, improvement.at_least, text)]
    return [
        _improvement_over(policy, improvement, report, suite, baseline, candidate, one_of_many)
        for suite in improvement.suites or (main_suite(report),)
        for baseline in simpler
    ]


def _improvement_over(
    policy: GatePolicy,
    improvement: Improvement,
    report: EvaluationReport,
    suite: str,
    baseline: str,
    candidate: str,
    one_of_many: bool,
) -> Reason:
    compared = comparison(report, suite, baseline, candidate)
    if compared is None:
        text = f"{candidate} and {baseline} were not compared on suite {suite}"
        return _improvement(improvement, ReasonState.NOT_MEASURED, None, improvement.at_least, text)
    if improvement.measured_in is Unit.POINTS and _is_perplexity(report, candidate, suite):
        text = (
            f"suite {suite} is of perplexity, whose log-likelihoods have no points; let improvement.suites name a suite "
            "that is scored from 0 to 1, or measure the improvement as relative"
        )
        return _improvement(improvement, ReasonState.NOT_MEASURED, None, improvement.at_least, text)
    asked = improvement.points(compared.baseline_score)
    p_value = compared.adjusted_p_value if one_of_many else compared.p_value
    significant = compared.difference > 0 and p_value <= policy.alpha
    if significant and compared.difference >= asked:
        state = ReasonState.MET
    elif compared.interval.high < asked:
        state = ReasonState.UNMET
    else:
        state = ReasonState.UNDECIDED
    text = f"{_compared_in_words(compared)}; asked: {_asked_in_words(improvement, asked)}"
    if state is ReasonState.UNMET:
        text += ", which the interval excludes"
    elif state is ReasonState.UNDECIDED:
        text += f". {_what_is_missing(compared, asked, significant)}"
    elif compared.permutation_p_value > policy.alpha:
        text += f". Flipping signs, which weighs by size, sees less in it: p = {compared.permutation_p_value:.3g}"
    return _improvement(improvement, state, compared.difference, asked, text)


def _is_perplexity(report: EvaluationReport, arm: str, suite: str) -> bool:
    result = report.arm(arm).suite(suite)
    return result is not None and result.kind is SuiteKind.PERPLEXITY


def _improvement(
    improvement: Improvement, state: ReasonState, measured: float | None, threshold: float, text: str
) -> Reason:
    return Reason(
        criterion="improvement",
        tier=improvement.tier,
        state=state,
        measured=measured,
        threshold=threshold,
        text=text,
    )


def _compared_in_words(compared: PairedComparison) -> str:
    return (
        f"{compared.arm} scores {compared.arm_score:.3f} on suite {compared.suite}, {compared.baseline} "
        f"{compared.baseline_score:.3f}: {points(compared.difference)} (95 % interval {points(compared.interval.low)} to "
        f"{points(compared.interval.high)}; {compared.test}, p = {compared.p_value:.3g}; {compared.items} items)"
    )


def _asked_in_words(improvement: Improvement, asked: float) -> str:
    if improvement.measured_in is Unit.RELATIVE:
        return f"at least {100 * improvement.at_least:+.1f} %, here {points(asked)}, and significant"
    return f"at least {points(asked)}, and significant"


def _what_is_missing(compared: PairedComparison, asked: float, significant: bool) -> str:
    if significant:
        return f"It is better, but whether by {points(asked)} the data do not tell"
    said = [f"With {compared.items} items"]
    if compared.power is not None:
        said.append(f"a true difference of {points(asked)} is found in {compared.power:.0%} of evaluations;")
    if compared.minimum_detectable_effect is None:
        said.append(
            "no difference is found in four of five evaluations"
            if compared.power == 0
            else "what would be found in four of five evaluations cannot be told: too few answers differ"
        )
        return " ".join(said)
    said.append(f"the smallest that is found in four of five is {points(compared.minimum_detectable_effect)}")
    if (needed := items_needed(compared, asked)) is not None:
        said.append(f"and {points(asked)} would need about {needed:,} items")
    return " ".join(said)


def items_needed(compared: PairedComparison, effect: float) -> int | None:
    """About how many items find a true difference of `effect` in four of five evaluations, as the smallest difference
    that is found shrinks with the root of their number. None when it is not known, or there are enough."""
    smallest = compared.minimum_detectable_effect
    if smallest is None or effect <= 0 or smallest <= effect:
        return None
    return math.ceil(compared.items * (smallest / effect) ** 2)


def criterion_reason(report: EvaluationReport, arm: ArmReport, criterion: Criterion) -> Reason:
    found = measure(report, arm, criterion)
    asked = f"asked: {criterion.in_words} {criterion.threshold:g}"
    where = f" on suite {criterion.suite}" if criterion.suite else ""
    what = f"{criterion.measure.replace('_', ' ')} of {arm.arm}{where}"
    if found is None:
        state, text = ReasonState.NOT_MEASURED, f"{what} was not measured; {asked}"
    else:
        state = _state(criterion, found)
        text = f"{what} is {_value_in_words(found)}; {asked}{' with the whole interval' if criterion.confident else ''}"
        if state is ReasonState.UNDECIDED:
            text += ", which the data can neither confirm nor exclude"
    return Reason(
        criterion=criterion.name,
        tier=criterion.tier,
        state=state,
        measured=None if found is None else found.value,
        threshold=criterion.threshold,
        text=text,
    )


def _state(criterion: Criterion, found: Measured) -> ReasonState:
    """Unmet is only what the whole interval says; on which side a handful of items fell may be chance."""
    if found.interval is None:
        return ReasonState.MET if criterion.holds(found.value) else ReasonState.UNMET
    worst, best = found.interval.low, found.interval.high
    if not criterion.more_is_better:
        worst, best = best, worst
    if criterion.holds(worst if criterion.confident else found.value):
        return ReasonState.MET
    return ReasonState.UNDECIDED if criterion.holds(best) else ReasonState.UNMET


def _value_in_words(found: Measured) -> str:
    if found.interval is None:
        return f"{found.value:.4g}"
    return (
        f"{found.value:.3f} (95 % interval {found.interval.low:.3f} to {found.interval.high:.3f}; {found.items} items)"
    )


def suite_reasons(policy: GatePolicy, report: EvaluationReport, arms: Sequence[str]) -> list[Reason]:
    """Whether all required suites were asked, and enough items of every suite that decides."""
    reasons = []
    asked = {suite.suite for arm in report.arms if arm.arm in arms for suite in arm.suites}
    if policy.required_suites:
        missing = [suite for suite in policy.required_suites if suite not in asked]
        text = f"required but not asked: {', '.join(missing)}" if missing else "every required suite was asked"
        reasons.append(
            Reason(
                criterion="required-suites",
                tier=Tier.CRITICAL,
                state=ReasonState.NOT_MEASURED if missing else ReasonState.MET,
                measured=float(len(policy.required_suites) - len(missing)),
                threshold=float(len(policy.required_suites)),
                text=f"{text} ({', '.join(policy.required_suites)})",
            )
        )
    return [*reasons, *_too_few_items(policy, report, arms)]


def _too_few_items(policy: GatePolicy, report: EvaluationReport, arms: Sequence[str]) -> list[Reason]:
    if policy.min_items <= 1:
        return []
    deciding = {main_suite(report), *policy.required_suites}
    if policy.improvement is not None and policy.improvement.suites:
        deciding = {*policy.improvement.suites, *policy.required_suites}
    if policy.selection is not None and policy.selection.suite is not None:
        deciding = {policy.selection.suite, *policy.required_suites}
    counts = {
        suite.suite: suite.items
        for arm in report.arms
        if arm.arm in arms
        for suite in arm.suites
        if suite.suite in deciding
    }
    if not counts:
        return []
    suite, fewest = min(counts.items(), key=lambda count: count[1])
    enough = fewest >= policy.min_items
    return [
        Reason(
            criterion="min-items",
            tier=Tier.CRITICAL,
            state=ReasonState.MET if enough else ReasonState.UNDECIDED,
            measured=float(fewest),
            threshold=float(policy.min_items),
            text=f"suite {suite} has {fewest} items; asked: at least {policy.min_items}",
        )
    ]


def vote_reasons(rule: VoteRule | None, votes: VoteCount | None) -> list[Reason]:
    if rule is None:
        return []
    asked = f"asked: at least {rule.share_at_least:.0%} of at least {rule.min_votes}"
    if votes is None or votes.votes == 0:
        state, share, text = ReasonState.NOT_MEASURED, None, f"nobody has voted; {asked}"
    else:
        share = (votes.candidate + votes.ties / 2) / votes.votes
        interval = wilson(share, votes.independent)
        text = (
            f"{share:.0%} of {votes.votes} votes prefer the candidate ({votes.candidate} for it, {votes.other} against, "
            f"{votes.ties} ties, on {votes.independent} items; 95 % interval {interval.low:.0%} to {interval.high:.0%}); {asked}"
        )
        if votes.votes < rule.min_votes:
            state = ReasonState.UNDECIDED
        elif (interval.low if rule.confident else share) >= rule.share_at_least:
            state = ReasonState.MET
        else:
            state = ReasonState.UNDECIDED if interval.high >= rule.share_at_least else ReasonState.UNMET
    return [
        Reason(criterion="votes", tier=rule.tier, state=state, measured=share, threshold=rule.share_at_least, text=text)
    ]


def points(difference: float) -> str:
    return f"{100 * difference:+.1f} points"
