"""Whole comparisons: every pair of arms, and inputs in which there is little to compare."""

from __future__ import annotations

import math
import warnings

import pytest

from fragua_evaluator.domain.report import PairedComparison
from fragua_evaluator.scoring.statistics import adjust, compare_arms
from fragua_platform.errors import InvalidData


def compare(baseline: list[float], arm: list[float], *, graded: bool, wanted: float = 0.05) -> PairedComparison:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (compared,) = compare_arms(
            "suite", "metric", graded, {"base": baseline, "tuned": arm}, seed=0, min_improvement=wanted
        )
    return compared


def test_every_pair_is_compared_and_the_earlier_arm_is_the_baseline() -> None:
    scores = {"base": [0.1, 0.2, 0.4], "prompt": [0.2, 0.2, 0.5], "tuned": [0.9, 0.8, 0.7]}
    compared = compare_arms("suite", "metric", True, scores, seed=0, min_improvement=0.05)
    assert [(c.baseline, c.arm) for c in compared] == [("base", "prompt"), ("base", "tuned"), ("prompt", "tuned")]
    assert [c.difference for c in compared] == pytest.approx([0.2 / 3, 1.7 / 3, 1.5 / 3])


def test_a_comparison_counts_items_and_names_its_test() -> None:
    compared = compare([0.0] * 5 + [1.0] * 5, [1.0] * 5 + [0.0] + [1.0] * 4, graded=False)
    assert (compared.improved, compared.worsened, compared.tied, compared.items) == (5, 1, 4, 10)
    assert compared.test == "exact McNemar"
    assert compare([0.1, 0.2], [0.4, 0.1], graded=True).test == "exact Wilcoxon signed-rank"
    # Repeats that disagree make yes-or-no scores graded.
    assert compare([1.0, 0.0], [2 / 3, 0.0], graded=False).test == "exact Wilcoxon signed-rank"


def test_holm_sees_the_comparisons_of_all_suites() -> None:
    sure = compare([0.0] * 10, [1.0] * 10, graded=False)
    unsure = compare([0.0] * 10, [1.0] * 6 + [0.0] * 4, graded=False)
    one, other = adjust([unsure, sure])
    assert one.adjusted_p_value == unsure.p_value == 0.03125
    assert other.adjusted_p_value == 2 * sure.p_value


def test_a_relative_improvement_is_taken_of_each_baselines_score() -> None:
    scores = {"base": [1.0, 0.0] * 20, "prompt": [1.0, 1.0, 1.0, 0.0] * 10, "tuned": [1.0] * 40}
    asked = []

    def a_tenth(score: float) -> float:
        asked.append(score)
        return 0.1 * score

    compare_arms("suite", "metric", False, scores, seed=0, min_improvement=a_tenth)
    assert asked == [0.5, 0.5, 0.75]


@pytest.mark.parametrize("graded", [True, False])
@pytest.mark.parametrize("scores", [[1.0], [0.0] * 22, [1.0] * 22])
def test_identical_arms_are_no_evidence_and_no_certainty(scores: list[float], graded: bool) -> None:
    compared = compare(scores, scores, graded=graded)
    assert (compared.p_value, compared.permutation_p_value, compared.difference) == (1.0, 1.0, 0.0)
    assert compared.effect_size is None
    assert compared.interval.low < -0.05 < 0.05 < compared.interval.high


def test_one_item_can_show_nothing_and_says_so() -> None:
    compared = compare([0.2], [0.9], graded=True)
    assert (compared.p_value, compared.power, compared.minimum_detectable_effect) == (1.0, 0.0, None)


def test_a_constant_difference_is_significant_without_a_known_power() -> None:
    compared = compare([0.3] * 22, [0.4] * 22, graded=True)
    assert compared.p_value == pytest.approx(2 / 2**22)
    assert (compared.power, compared.minimum_detectable_effect, compared.effect_size) == (None, None, None)
    assert compared.interval.low < 0.1 < compared.interval.high


def test_log_likelihoods_are_compared_on_a_scale_of_their_own() -> None:
    baseline = [-3.0 - (5 * number % 7) / 10 for number in range(30)]
    tuned = [score + 1.0 + (3 * number % 11) / 5 for number, score in enumerate(baseline)]
    compared = compare(baseline, tuned, graded=True)
    assert compared.p_value < 1e-6
    assert 1.0 < compared.interval.low < compared.difference < compared.interval.high < 3.0
    assert compared.minimum_detectable_effect is not None
    # What yes or no could do is no measure for them.
    merged = compare(baseline, [baseline[0] - 1e-4, *baseline[1:]], graded=True)
    assert -1e-4 < merged.interval.low < merged.interval.high <= 0


def test_scores_that_cannot_be_compared_are_refused_all_at_once() -> None:
    scores = {"base": [0.5, math.nan], "tuned": [0.1], "other": []}
    with pytest.raises(InvalidData) as refused:
        compare_arms("suite", "metric", True, scores, seed=0, min_improvement=0.05)
    assert [violation.field for violation in refused.value.violations] == [
        "suite suite, arm base",
        "suite suite, arm other",
        "suite suite",
    ]
