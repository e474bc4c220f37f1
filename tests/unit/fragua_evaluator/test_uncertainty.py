"""The statistics, held against values that can be worked out by hand or looked up."""

import random
from collections.abc import Callable

import pytest

from fragua_evaluator.domain.evaluation_spec import Metric
from fragua_evaluator.scoring.uncertainty import compare, confidence_interval


def test_wilsons_interval_is_the_textbooks() -> None:
    low, high = confidence_interval([1.0] * 8 + [0.0] * 2, Metric.EXACT_MATCH, seed=0)
    assert [low, high] == pytest.approx([0.4902, 0.9433], abs=1e-4)


def test_all_right_on_few_items_is_not_certainty() -> None:
    low, high = confidence_interval([1.0] * 5, Metric.EXACT_MATCH, seed=0)
    assert low < 0.6
    assert high == pytest.approx(1.0)


@pytest.mark.parametrize("scores", [[0.0] * 30, [0.4] * 30, [1.0]])
def test_equal_graded_scores_still_leave_doubt(scores: list[float]) -> None:
    low, high = confidence_interval(scores, Metric.TOKEN_F1, seed=0)
    assert low <= scores[0] <= high + 1e-12
    assert high - low > 0.1


def covered(draw: Callable[[random.Random], float], truth: float, metric: Metric) -> float:
    """The share of samples of 40 whose interval holds the truth."""
    hits = 0
    for sample in range(60):
        dice = random.Random(sample)
        low, high = confidence_interval([draw(dice) for _ in range(40)], metric, seed=sample)
        hits += low <= truth <= high
    return hits / 60


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    assert covered(lambda dice: float(dice.random() < 0.7), 0.7, Metric.EXACT_MATCH) >= 0.88
    assert covered(lambda dice: dice.random() ** 2, 1 / 3, Metric.TOKEN_F1) >= 0.88


def test_the_bootstrap_is_repeatable() -> None:
    scores = [0.1, 0.9, 0.5, 0.3, 1.0]
    assert confidence_interval(scores, Metric.TOKEN_F1, seed=7) == confidence_interval(scores, Metric.TOKEN_F1, seed=7)


def test_mcnemar_tosses_a_coin_for_each_item_that_changed() -> None:
    base, tuned = [0.0] * 5 + [1.0] * 5, [1.0] * 5 + [1.0] * 5
    compared = compare(base, tuned, Metric.EXACT_MATCH)
    assert (compared.improved, compared.worsened, compared.tied, compared.n) == (5, 0, 5, 10)
    assert compared.p_value == pytest.approx(2 / 2**5)
    assert compared.test == "exact McNemar"


def test_wilcoxon_compares_graded_scores_item_by_item() -> None:
    base = [0.10, 0.20, 0.30, 0.40, 0.50, 0.60, 0.70, 0.80]
    tuned = [score + 0.01 * (index + 1) for index, score in enumerate(base)]
    compared = compare(base, tuned, Metric.TOKEN_F1)
    assert compared.improved == 8
    assert compared.p_value == pytest.approx(2 / 2**8)
    assert compare(tuned, base, Metric.TOKEN_F1).p_value == compared.p_value


@pytest.mark.parametrize("metric", list(Metric))
def test_equal_answers_give_no_evidence(metric: Metric) -> None:
    assert compare([0.0, 1.0], [0.0, 1.0], metric).p_value == 1.0
