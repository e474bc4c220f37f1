"""Power: how often a test would find a true difference of some size, with as many items as there are.

Found means significant by the two-sided test, and in the direction of the difference.

Power needs more than an effect and a number of items: it needs to know how the differences spread. That is taken from
the very comparison, so a stated power is an estimate; `bench/verdicts.py` holds it against the power that is found.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy import optimize, stats  # type: ignore[import-untyped]
from scipy.special import ndtr  # type: ignore[import-untyped]

from fragua_evaluator.scoring.statistics.intervals import Floats
from fragua_evaluator.scoring.statistics.paired_tests import rank_sum_distribution

WANTED_POWER = 0.8
_EXACT_RANKS_UP_TO = 80
_MOST_CHANGES_TO_SMOOTH = 2_000
_SMOOTHING = 0.4
"""In standard deviations, at one item; it shrinks with the fifth root of their number, as kernel widths do."""
_OFFSETS = stats.norm.isf((np.arange(7) + 0.5) / 7)

PowerOf = Callable[[float], float]
"""The power at a true mean difference above 0."""


def mcnemar_power(items: int, improved: int, worsened: int, alpha: float) -> PowerOf:
    """Of the exact McNemar test, for yes-or-no scores.

    Assumes that some items change to and fro whatever the effect, as many one way as the other: twice the rarer kind of
    change that was seen, estimated as (2 min + 1/2) / (items + 1); and that an effect adds changes for the better to
    them. (What went one way only is the effect that was seen, and would not be there with a smaller one.) Then the
    power is exact: that of the binomial test, averaged over how many items may change.
    """
    to_and_fro = (2 * min(improved, worsened) + 0.5) / (items + 1)

    def power(effect: float) -> float:
        return _mcnemar_power(items, to_and_fro + effect, effect, alpha)

    return power


@lru_cache(maxsize=4_096)
def _mcnemar_power(items: int, share: float, effect: float, alpha: float) -> float:
    share = min(share, 1.0)
    counts, weights = _likely_counts(items, share)
    for_the_better = min(1.0, (share + effect) / (2 * share))
    needed = stats.binom.isf(alpha / 2, counts, 0.5) + 1
    return float(weights @ stats.binom.sf(needed - 1, counts, for_the_better))


def signed_rank_power(differences: Floats, alpha: float) -> PowerOf | None:
    """Of Wilcoxon's signed-rank test, for graded scores. None where too few items changed to know how changes spread.

    Assumes that as large a share of the items changes as was seen, and that an effect shifts each change by the same
    amount; items without a difference keep none. From the shifted differences follow the expectation and the variance
    of the rank sum (Noether, 1987; Hettmansperger, 1984), and from these the power, by the normal distribution against
    the test's exact critical value. Where few items change a lot and most only a little, this states less power than
    there is.
    """
    changed = differences[differences != 0]
    items, count = len(differences), len(changed)
    if count < 3 or np.ptp(changed) == 0:
        return None
    share = (count + 0.5) / (items + 1)
    counts, weights = _likely_counts(items, share)
    critical = _critical_rank_sums(alpha, counts)
    centered, copies = _smoothed(changed)
    others = len(centered) - copies

    def power(effect: float) -> float:
        shifted = centered + effect / share
        is_positive = shifted > 0
        positive = np.count_nonzero(is_positive) / len(shifted)
        # For each difference, the share of the others with which it has a sum above 0.
        above = len(shifted) - np.searchsorted(shifted, -shifted, side="right") - copies * is_positive
        with_each = np.clip(above / others, 0.0, 1.0)
        pairs, triples = float(with_each.mean()), float((with_each**2).mean())
        expected = counts * positive + counts * (counts - 1) / 2 * pairs
        variance = (
            counts * positive * (1 - positive)
            + counts * (counts - 1) / 2 * (2 * (positive - pairs) ** 2 + 3 * pairs * (1 - pairs))
            + counts * (counts - 1) * (counts - 2) * (triples - pairs**2)
        )
        spread = np.sqrt(np.maximum(variance, 1e-9))
        return float(weights @ ndtr((expected - critical + 0.5) / spread))

    return power


def _smoothed(changed: Floats) -> tuple[Floats, int]:
    """The differences around their mean, in order, each spread over some copies of itself; and how many copies.

    What was seen are a few of the differences that there could be; and a shift would tear apart what is tied around 0
    as if that were known to the last digit. The spread stays that of the sample, with n - 1.
    """
    count = len(changed)
    around = (changed - changed.mean()) * np.sqrt(count / (count - 1))
    if count > _MOST_CHANGES_TO_SMOOTH:
        return np.sort(around), 1
    width = _SMOOTHING * count**-0.2
    copies = around[:, None] + around.std() * width * _OFFSETS
    return np.sort(copies.ravel() / np.sqrt(1 + width**2 * _OFFSETS.var())), len(_OFFSETS)


def minimum_detectable_effect(power: PowerOf, largest: float) -> float | None:
    """The smallest true difference with a power of 0.8; None when not even `largest` has that.

    0 where so many items change in so lopsided a way that ranks are significant though the mean is not moved at all.
    """
    if power(largest) < WANTED_POWER:
        return None
    if power(0.0) >= WANTED_POWER:
        return 0.0
    return float(optimize.brentq(lambda effect: power(effect) - WANTED_POWER, 0.0, largest, xtol=1e-4))


def _likely_counts(items: int, share: float) -> tuple[Floats, Floats]:
    """How many items may change, and how likely each number is; without numbers that next to never come."""
    low, high = stats.binom.ppf((1e-12, 1 - 1e-12), items, share)
    counts = np.arange(max(0.0, low), min(items, high) + 1)
    return counts, stats.binom.pmf(counts, items, share)


def _critical_rank_sums(alpha: float, counts: Floats) -> Floats:
    """For each number of changed items, the smallest rank sum that is significant; infinite where none is."""
    table = _exact_critical_rank_sums(alpha)
    spread = np.sqrt(counts * (counts + 1) * (2 * counts + 1) / 24)
    normal = counts * (counts + 1) / 4 + stats.norm.isf(alpha / 2) * spread + 0.5
    exact = table[np.minimum(counts, _EXACT_RANKS_UP_TO).astype(int)]
    return np.where(counts <= _EXACT_RANKS_UP_TO, exact, normal)


@lru_cache(maxsize=4)
def _exact_critical_rank_sums(alpha: float) -> Floats:
    critical = np.full(_EXACT_RANKS_UP_TO + 1, np.inf)
    for count in range(1, _EXACT_RANKS_UP_TO + 1):
        at_most = np.cumsum(rank_sum_distribution(np.arange(1, count + 1)))
        lowest = int(np.searchsorted(at_most, alpha / 2, side="right")) - 1
        if lowest >= 0:
            critical[count] = count * (count + 1) / 2 - lowest
    return critical
