"""Compares every pair of arms over the items of one suite."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import numpy as np

from fragua_evaluator.domain.report import PairedComparison
from fragua_evaluator.scoring.statistics.intervals import Floats, difference_interval, is_binary
from fragua_evaluator.scoring.statistics.paired_tests import (
    MOST_CHANGED_ITEMS_FOR_EXACT_RANKS,
    cohens_d,
    holm,
    mcnemar_test,
    paired_differences,
    sign_flip_test,
    signed_rank_test,
)
from fragua_evaluator.scoring.statistics.power import (
    PowerOf,
    mcnemar_power,
    minimum_detectable_effect,
    signed_rank_power,
)
from fragua_platform.errors import InvalidData, Violation

MinImprovement = float | Callable[[float], float]
"""In points; or, for a relative one, what gives the points for a baseline's score (`Improvement.points`)."""


def compare_arms(
    suite: str,
    metric: str,
    graded: bool,
    scores: Mapping[str, Sequence[float]],
    *,
    seed: int,
    min_improvement: MinImprovement,
    alpha: float = 0.05,
) -> list[PairedComparison]:
    """All pairs in the order of the mapping, of which the earlier arm is the baseline; the scores of all arms stand in
    the same order of items, the mean over the repeats for each.

    `adjusted_p_value` is that of the test alone until `adjust` has seen the comparisons of all suites.
    Raises InvalidData when arms have different numbers of scores, none, or something that is no number.
    """
    _refuse_unfit(suite, scores)
    binary = not graded and all(is_binary(np.asarray(values, dtype=float)) for values in scores.values())
    return [
        _compare(suite, metric, not binary, first, second, scores, seed, min_improvement, alpha)
        for first, second in combinations(scores, 2)
    ]


def adjust(comparisons: Sequence[PairedComparison]) -> tuple[PairedComparison, ...]:
    """With Holm's p-values over all of them."""
    adjusted = holm([comparison.p_value for comparison in comparisons])
    return tuple(
        comparison.model_copy(update={"adjusted_p_value": p_value})
        for comparison, p_value in zip(comparisons, adjusted, strict=True)
    )


def _compare(
    suite: str,
    metric: str,
    graded: bool,
    first: str,
    second: str,
    scores: Mapping[str, Sequence[float]],
    seed: int,
    min_improvement: MinImprovement,
    alpha: float,
) -> PairedComparison:
    differences = paired_differences(scores[first], scores[second])
    improved, worsened = int((differences > 0).sum()), int((differences < 0).sum())
    p_value = signed_rank_test(differences) if graded else mcnemar_test(differences)
    baseline_score = float(np.mean(scores[first]))
    wanted = min_improvement(baseline_score) if callable(min_improvement) else min_improvement
    power_of = _power_of(differences, graded, alpha)
    return PairedComparison(
        suite=suite,
        metric=metric,
        baseline=first,
        arm=second,
        items=len(differences),
        baseline_score=baseline_score,
        arm_score=float(np.mean(scores[second])),
        difference=float(differences.mean()),
        interval=difference_interval(differences, graded=graded, seed=seed, bounded=_lie_between_0_and_1(scores)),
        improved=improved,
        worsened=worsened,
        tied=len(differences) - improved - worsened,
        test=_test_name(graded, improved + worsened),
        p_value=p_value,
        adjusted_p_value=p_value,
        permutation_p_value=sign_flip_test(differences, seed=seed),
        effect_size=cohens_d(differences),
        minimum_detectable_effect=None if power_of is None else minimum_detectable_effect(power_of, _largest(scores)),
        power=None if power_of is None or wanted <= 0 else power_of(wanted),
    )


def _power_of(differences: Floats, graded: bool, alpha: float) -> PowerOf | None:
    # Not even if every item changed for the better.
    if 0.5 ** (len(differences) - 1) > alpha:
        return lambda _effect: 0.0
    if graded:
        return signed_rank_power(differences, alpha)
    return mcnemar_power(len(differences), int((differences > 0).sum()), int((differences < 0).sum()), alpha)


def _largest(scores: Mapping[str, Sequence[float]]) -> float:
    """The largest difference that there can be: 1, or of log-likelihoods as far as those seen lie apart, and more."""
    values = np.concatenate([np.asarray(arm, dtype=float) for arm in scores.values()])
    return max(1.0, 10 * float(np.ptp(values))) if values.min() < 0 else 1.0


def _lie_between_0_and_1(scores: Mapping[str, Sequence[float]]) -> bool:
    return all(0 <= score <= 1 for arm in scores.values() for score in arm)


def _test_name(graded: bool, changed: int) -> str:
    if not graded:
        return "exact McNemar"
    exact = changed <= MOST_CHANGED_ITEMS_FOR_EXACT_RANKS
    return "exact Wilcoxon signed-rank" if exact else "Wilcoxon signed-rank"


def _refuse_unfit(suite: str, scores: Mapping[str, Sequence[float]]) -> None:
    counts = {len(values) for values in scores.values()}
    violations = [
        Violation(f"suite {suite}, arm {arm}", "it has no scores")
        if not len(values)
        else Violation(f"suite {suite}, arm {arm}", "a score is no finite number; a metric must give 0 to 1 or fail")
        for arm, values in scores.items()
        if not len(values) or not np.isfinite(np.asarray(values, dtype=float)).all()
    ]
    if len(counts) > 1:
        listed = ", ".join(f"{arm} {len(values)}" for arm, values in scores.items())
        violations.append(Violation(f"suite {suite}", f"arms are compared over the same items, but have {listed}"))
    if violations:
        listed = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
        raise InvalidData(f"the scores cannot be compared: {listed}", violations=violations)
