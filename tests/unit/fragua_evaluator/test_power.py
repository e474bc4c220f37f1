"""Power, held against enumeration, textbooks and simulation."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from fragua_evaluator.scoring.statistics.paired_tests import mcnemar_test, signed_rank_test
from fragua_evaluator.scoring.statistics.power import mcnemar_power, minimum_detectable_effect, signed_rank_power


def test_mcnemars_power_is_summed_over_every_way_it_can_come_out() -> None:
    items, improved, worsened, effect = 12, 5, 2, 0.4
    share = (2 * worsened + 0.5) / (items + 1) + effect
    outcome = stats.multinomial(items, [(share + effect) / 2, (share - effect) / 2, 1 - share])
    found = sum(
        outcome.pmf([better, worse, items - better - worse])
        for better, worse in product(range(items + 1), repeat=2)
        if worse < better <= items - worse and mcnemar_test(np.array([1.0] * better + [-1.0] * worse)) <= 0.05
    )
    assert mcnemar_power(items, improved, worsened, 0.05)(effect) == pytest.approx(found, abs=1e-9)


def normal_differences(items: int) -> np.ndarray:
    quantiles = stats.norm.ppf((np.arange(items) + 0.5) / items)
    return quantiles / quantiles.std(ddof=1)


def test_wilcoxons_power_for_normal_differences_is_the_textbooks() -> None:
    """Half a standard deviation needs 34 pairs by Student's test (Cohen, 1988), and 1 / 0.955 times as many by ranks."""
    power = signed_rank_power(normal_differences(36), 0.05)
    assert power is not None
    assert power(0.5) == pytest.approx(0.8, abs=0.03)
    smallest = minimum_detectable_effect(power, 10.0)
    assert smallest == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("tied", [0, 12])
def test_wilcoxons_power_is_that_of_simulated_evaluations(tied: int) -> None:
    items, effect = 30, 0.1
    differences = np.concatenate((0.2 * normal_differences(items - tied), np.zeros(tied)))
    power = signed_rank_power(differences, 0.05)
    assert power is not None
    chance = np.random.default_rng(2)
    share = 1 - tied / items
    found = []
    for _ in range(500):
        changed = chance.random(items) < share
        drawn = np.where(changed, chance.normal(effect / share, 0.2, items), 0.0)
        found.append(signed_rank_test(drawn) <= 0.05)
    assert power(effect) == pytest.approx(np.mean(found), abs=0.06)


def test_without_an_effect_the_power_is_how_often_the_test_is_wrong_on_one_side() -> None:
    graded = signed_rank_power(normal_differences(60), 0.05)
    assert graded is not None
    assert graded(0.0) == pytest.approx(0.025, abs=0.005)
    assert mcnemar_power(200, 30, 30, 0.05)(0.0) == pytest.approx(0.02, abs=0.006)


def test_ranks_that_are_significant_without_an_effect_need_none() -> None:
    """Most items gain a little and a few lose a lot: the mean stays, and ranks still see the many."""
    power = signed_rank_power(np.array(([0.02] * 9 + [0.01] * 9 + [-0.135] * 2) * 40), 0.05)
    assert power is not None
    assert minimum_detectable_effect(power, 1.0) == 0.0


def test_the_smallest_effect_that_is_found_has_a_power_of_four_fifths() -> None:
    power = mcnemar_power(100, 15, 15, 0.05)
    smallest = minimum_detectable_effect(power, 1.0)
    assert smallest is not None
    assert power(smallest) == pytest.approx(0.8, abs=0.005)


def test_five_items_find_no_effect_at_all() -> None:
    assert mcnemar_power(5, 5, 0, 0.05)(1.0) == 0.0
    assert minimum_detectable_effect(mcnemar_power(5, 5, 0, 0.05), 1.0) is None


def test_a_large_gain_does_not_make_small_ones_harder_to_find() -> None:
    """Five points more of 150 items, and none of them less, is found in seven of ten evaluations; that all 150 improved
    this time says nothing of how many would change to and fro."""
    assert mcnemar_power(150, 150, 0, 0.05)(0.05) == pytest.approx(0.72, abs=0.02)
    assert mcnemar_power(150, 80, 70, 0.05)(0.05) < 0.1


def test_power_grows_with_items_and_effect_and_falls_with_noise() -> None:
    def graded(items: int, noise: float, effect: float) -> float:
        power = signed_rank_power(noise * normal_differences(items), 0.05)
        assert power is not None
        return power(effect)

    assert graded(22, 0.2, 0.05) < graded(22, 0.2, 0.1) < graded(60, 0.2, 0.1) < graded(60, 0.1, 0.1)
    assert (
        mcnemar_power(22, 4, 4, 0.05)(0.1)
        < mcnemar_power(200, 36, 36, 0.05)(0.1)
        < mcnemar_power(200, 20, 20, 0.05)(0.1)
    )


def test_two_changed_items_tell_nothing_of_how_changes_spread() -> None:
    assert signed_rank_power(np.array([0.1, -0.2, 0.0, 0.0, 0.0, 0.0, 0.0]), 0.05) is None
