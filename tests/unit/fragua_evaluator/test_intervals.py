"""Intervals, held against textbooks and against how often they hold the truth."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from fragua_evaluator.scoring.statistics import mean_interval
from fragua_evaluator.scoring.statistics.intervals import difference_interval


def test_wilsons_interval_is_the_textbooks() -> None:
    interval = mean_interval([1.0] * 8 + [0.0] * 2, graded=False, seed=0)
    assert [interval.low, interval.high] == pytest.approx([0.4902, 0.9433], abs=1e-4)


def test_all_right_on_few_items_is_not_certainty() -> None:
    interval = mean_interval([1.0] * 5, graded=False, seed=0)
    assert interval.low < 0.6
    assert interval.high == pytest.approx(1.0)


@pytest.mark.parametrize("scores", [[0.0] * 30, [0.4] * 30, [1.0]])
def test_equal_graded_scores_still_leave_doubt(scores: list[float]) -> None:
    interval = mean_interval(scores, graded=True, seed=0)
    assert interval.low <= scores[0] <= interval.high + 1e-12
    assert interval.high - interval.low > 0.1


def test_a_yes_or_no_score_whose_repeats_disagree_is_graded() -> None:
    interval = mean_interval([1.0, 1.0, 2 / 3, 0.0, 1 / 3, 1.0], graded=False, seed=0)
    assert 0 < interval.low < 2 / 3 < interval.high <= 1


def test_log_likelihoods_have_an_interval_below_zero() -> None:
    assert mean_interval([-2.0, -1.0, -3.0, -1.5] * 3, graded=True, seed=0).high < -1
    assert mean_interval([-2.0, -2.0], graded=True, seed=0).low == -2


def covered(draw: Callable[[random.Random], float], truth: float, *, graded: bool, items: int) -> float:
    """The share of samples whose interval holds the truth."""
    hits = 0
    for sample in range(200):
        dice = random.Random(sample)
        interval = mean_interval([draw(dice) for _ in range(items)], graded=graded, seed=1)
        hits += interval.low <= truth <= interval.high
    return hits / 200


@pytest.mark.parametrize("items", [22, 100])
def test_intervals_hold_the_truth_about_as_often_as_they_say(items: int) -> None:
    assert covered(lambda dice: float(dice.random() < 0.7), 0.7, graded=False, items=items) >= 0.92
    assert covered(lambda dice: dice.random() ** 2, 1 / 3, graded=True, items=items) >= 0.92


def test_the_bootstrap_of_normal_scores_is_students_interval() -> None:
    scores = 0.5 + 0.1 * stats.norm.ppf((np.arange(30) + 0.5) / 30)
    interval = mean_interval(scores.tolist(), graded=True, seed=3)
    reach = stats.t.isf(0.025, 29) * scores.std(ddof=1) / math.sqrt(30)
    assert [interval.low, interval.high] == pytest.approx([0.5 - reach, 0.5 + reach], abs=0.002)


def test_more_items_than_are_resampled_give_nearly_the_same_interval() -> None:
    scores = [(7 * number % 1000) / 1000 for number in range(1000)]
    resampled = mean_interval(scores, graded=True, seed=0)
    computed = mean_interval([*scores, 0.5], graded=True, seed=0)
    assert [computed.low, computed.high] == pytest.approx([resampled.low, resampled.high], abs=0.001)


def test_the_bootstrap_is_repeatable() -> None:
    scores = [0.1, 0.9, 0.5, 0.3, 1.0]
    assert mean_interval(scores, graded=True, seed=7) == mean_interval(scores, graded=True, seed=7)


@pytest.mark.parametrize(("changed", "effect"), [(0.1, 0.05), (0.3, 0.05), (0.4, 0.15), (0.1, 0.0)])
def test_the_interval_of_a_yes_or_no_difference_holds_the_truth(changed: float, effect: float) -> None:
    """Summed over every way in which 22 items can come out, so there is no chance in it."""
    better, worse = (changed + effect) / 2, (changed - effect) / 2
    outcome = stats.multinomial(22, [better, worse, 1 - changed])
    hits = 0.0
    for improved, worsened in product(range(23), repeat=2):
        if improved + worsened <= 22:
            differences = np.array([1.0] * improved + [-1.0] * worsened + [0.0] * (22 - improved - worsened))
            interval = difference_interval(differences, graded=False, seed=0)
            if interval.low <= effect <= interval.high:
                hits += outcome.pmf([improved, worsened, 22 - improved - worsened])
    assert 0.94 <= hits <= 0.999


def test_identical_arms_on_few_items_may_still_differ() -> None:
    for graded in (True, False):
        interval = difference_interval(np.zeros(22), graded=graded, seed=0)
        assert interval.low < -0.05 < 0.05 < interval.high


@pytest.mark.parametrize(("items", "rate"), [(22, 0.05), (22, 0.02), (50, 0.02)])
def test_the_interval_of_a_graded_difference_that_few_items_make_holds_the_truth(items: int, rate: float) -> None:
    """Where the few did not come this time they may still be there: a candidate must not be refused for that."""
    chance = np.random.default_rng(7)
    below = 0
    for _ in range(200):
        # One in so many gets all the better, and one in twenty changes by next to nothing.
        differences = np.zeros(items)
        differences += 0.02 * (chance.random(items) < 0.025) - 0.02 * (chance.random(items) < 0.025)
        differences[chance.random(items) < rate] += 1.0
        below += difference_interval(differences, graded=True, seed=1).high < rate
    assert below / 200 <= 0.05


def test_one_item_that_changed_a_little_makes_nothing_sure() -> None:
    differences = np.array([-0.01] + [0.0] * 21)
    assert difference_interval(differences, graded=True, seed=0).high > 0.05
    assert mean_interval([0.99] + [1.0] * 21, graded=True, seed=0).low < 0.9


def test_many_small_changes_are_not_held_against_what_yes_or_no_could_do() -> None:
    differences = 0.05 + 0.1 * stats.norm.ppf((np.arange(22) + 0.5) / 22)
    differences[:11] = 0.0
    interval = difference_interval(differences, graded=True, seed=0)
    assert interval.high - interval.low < 0.15
