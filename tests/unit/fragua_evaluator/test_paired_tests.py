"""The tests of paired scores, held against published worked examples and against all sign flips, one by one."""

from __future__ import annotations

import random
from itertools import product
from math import comb

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from fragua_evaluator.scoring.statistics.paired_tests import (
    cohens_d,
    holm,
    mcnemar_test,
    paired_differences,
    sign_flip_test,
    signed_rank_test,
)

# Darwin's maize (1876): crossed less self-fertilised plants, in eighths of an inch, as Fisher (1935) took them.
MAIZE = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48], dtype=float)
# Cushny and Peebles' hours of sleep, as Student (1908) took them: a tie, and one patient without a difference.
SLEEP = np.array([1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4])
# Hollander and Wolfe (1973), 29 f.: a depression scale before and after a tranquilizer.
DEPRESSION_BEFORE = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
DEPRESSION_AFTER = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]


def changes(improved: int, worsened: int, tied: int = 0) -> np.ndarray:
    return np.array([1.0] * improved + [-1.0] * worsened + [0.0] * tied)


def all_flips(differences: np.ndarray, weights: np.ndarray) -> float:
    """Of all signs, the share that brings the weighted sum at least so far from 0."""
    observed = abs(float((np.sign(differences) * weights).sum()))
    sums = [abs(float(np.dot(signs, weights))) for signs in product((-1, 1), repeat=len(differences))]
    return sum(one >= observed - 1e-9 for one in sums) / len(sums)


def test_wilcoxons_test_is_that_of_the_textbooks() -> None:
    assert signed_rank_test(MAIZE) == pytest.approx(0.041259765625)
    before_and_after = paired_differences(DEPRESSION_AFTER, DEPRESSION_BEFORE)
    assert signed_rank_test(before_and_after) == pytest.approx(0.0390625)
    # Nine of nine that differ went one way, whatever the ties among them.
    assert signed_rank_test(SLEEP) == pytest.approx(2 / 2**9)


def test_fishers_flips_of_darwins_maize_are_all_counted() -> None:
    """1,726 of 32,768 (The Design of Experiments, section 21)."""
    assert sign_flip_test(MAIZE, seed=0) == pytest.approx(1726 / 32768)


@pytest.mark.parametrize("sample", range(12))
def test_ranks_with_ties_and_zeros_are_exact(sample: int) -> None:
    dice = random.Random(sample)
    differences = np.array([dice.choice([-0.2, -0.1, 0.0, 0.1, 0.1, 0.2, 0.3]) for _ in range(11)])
    changed = differences[differences != 0]
    ranks = stats.rankdata(np.abs(changed))
    assert signed_rank_test(differences) == pytest.approx(all_flips(changed, ranks))
    assert sign_flip_test(differences, seed=0) == pytest.approx(all_flips(changed, np.abs(changed)))


def test_without_ties_the_exact_test_is_scipys() -> None:
    differences = np.random.default_rng(1).normal(0.2, 1, 40)
    assert signed_rank_test(differences) == pytest.approx(stats.wilcoxon(differences, method="exact").pvalue)


def test_ties_that_only_rounding_tells_apart_are_ties() -> None:
    baseline, arm = [0.1, 0.2, 0.7], [0.2, 0.3, 0.8]
    assert len(set(paired_differences(baseline, arm).tolist())) == 1


def test_many_items_go_over_to_the_normal_approximation_without_a_jump() -> None:
    chance = np.random.default_rng(3)
    differences = np.round(chance.normal(0.004, 0.1, 501), 2)
    differences[differences == 0] = 0.01
    exact, approximate = signed_rank_test(differences[:500]), signed_rank_test(differences)
    assert len(differences) == 501
    assert approximate == pytest.approx(stats.wilcoxon(differences, method="approx").pvalue, rel=0.01)
    assert approximate == pytest.approx(exact, abs=0.02)


@pytest.mark.parametrize(
    ("improved", "worsened", "chi_square"),
    [
        (37, 16, 8.32),  # Agresti: diabetes of 144 pairs with and without an infarction
        (150, 86, 17.36),  # Agresti: a prime minister's approval, asked twice
    ],
)
def test_mcnemars_exact_test_agrees_with_agrestis_examples(improved: int, worsened: int, chi_square: float) -> None:
    changed = improved + worsened
    assert (improved - worsened) ** 2 / changed == pytest.approx(chi_square, abs=0.005)
    by_hand = 2 * sum(comb(changed, count) for count in range(improved, changed + 1)) / 2**changed
    p_value = mcnemar_test(changes(improved, worsened, 50))
    assert p_value == pytest.approx(by_hand)
    # The exact one is the stricter, a little.
    assert stats.chi2.sf(chi_square, 1) < p_value < 1.6 * stats.chi2.sf(chi_square, 1)


def test_mcnemar_tosses_a_coin_for_each_item_that_changed() -> None:
    assert mcnemar_test(changes(5, 0, 5)) == pytest.approx(2 / 2**5)
    assert mcnemar_test(changes(0, 5)) == mcnemar_test(changes(5, 0))
    assert mcnemar_test(changes(3, 3)) == 1.0


def test_flipping_the_signs_of_yes_or_no_scores_is_mcnemars_test() -> None:
    assert sign_flip_test(changes(14, 5, 60), seed=0) == mcnemar_test(changes(14, 5, 60))


@pytest.mark.parametrize("items", [60, 1001])
def test_more_flips_than_can_be_counted_are_drawn_or_computed(items: int) -> None:
    differences = np.random.default_rng(items).normal(0.1 / items**0.5, 0.1, items)
    students = stats.ttest_1samp(differences, 0).pvalue
    assert sign_flip_test(differences, seed=5) == pytest.approx(students, abs=0.015)
    assert sign_flip_test(differences, seed=5) == sign_flip_test(differences, seed=5)


@pytest.mark.parametrize("differences", [np.zeros(1), np.zeros(22)])
def test_equal_answers_give_no_evidence(differences: np.ndarray) -> None:
    assert mcnemar_test(differences) == signed_rank_test(differences) == sign_flip_test(differences, seed=0) == 1.0
    assert cohens_d(differences) is None


def test_cohens_d_of_students_sleep_is_his_t_over_the_root_of_the_patients() -> None:
    d = cohens_d(SLEEP)
    assert d == pytest.approx(4.0621 / 10**0.5, abs=1e-4)


def test_holms_values_are_those_of_the_usual_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []
