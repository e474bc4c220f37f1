"""Tests that neither of two arms is better, on the same items; the size of an effect; many tests at once.

Two arms answer the same questions, so they are compared question by question. Comparing their two means instead would
drown a real difference in the spread between easy and hard questions.

Every test takes the differences, one for each item, and gives the two-sided p-value. Where nothing differs it is 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats  # type: ignore[import-untyped]

from fragua_evaluator.scoring.statistics.intervals import Floats

MOST_CHANGED_ITEMS_FOR_EXACT_RANKS = 500
_MOST_CHANGED_ITEMS_TO_ENUMERATE = 16
_FLIPS = 10_000
_MOST_ITEMS_TO_FLIP = 1_000
_DECIMALS = 12
"""Differences that agree to so many decimals are ties: 0.3 - 0.2 is not quite 0.2 - 0.1 in binary."""


def paired_differences(baseline: Sequence[float], arm: Sequence[float]) -> Floats:
    """The arm's scores less the baseline's, without what is only rounding."""
    return np.round(np.asarray(arm, dtype=float) - np.asarray(baseline, dtype=float), _DECIMALS)


def mcnemar_test(differences: Floats) -> float:
    """McNemar's test in its exact form, for yes-or-no scores: if neither arm is better, each item on which they
    differ is a fair coin."""
    improved, worsened = int((differences > 0).sum()), int((differences < 0).sum())
    return float(stats.binomtest(improved, improved + worsened, 0.5).pvalue) if improved + worsened else 1.0


def signed_rank_test(differences: Floats) -> float:
    """Wilcoxon's signed-rank test, for graded scores: it also weighs how large the differences are.

    Items without a difference are left out, as Wilcoxon did; equal differences share their mean rank. The p-value is
    exact whatever the ties: of all ways to put signs to the ranks that are there, the share in which the rank sum is at
    least so far from the middle. (scipy's exact method does not know ties; its tables are of other ranks then.) With
    more than 500 changed items it is the normal approximation with the variance of the very ranks.
    """
    changed = differences[differences != 0]
    if not len(changed):
        return 1.0
    ranks = stats.rankdata(np.abs(changed))
    if len(changed) > MOST_CHANGED_ITEMS_FOR_EXACT_RANKS:
        distance = abs(float(ranks[changed > 0].sum()) - float(ranks.sum()) / 2)
        return min(1.0, 2 * float(stats.norm.sf((distance - 0.25) / math.sqrt(float((ranks**2).sum()) / 4))))
    # Shared ranks are halves, so their doubles are whole. With a common divisor, as in all ties, the table is shorter.
    doubled = np.rint(2 * ranks).astype(np.int64)
    units = doubled // np.gcd.reduce(doubled)
    positive, total = int(units[changed > 0].sum()), int(units.sum())
    return min(1.0, 2 * float(_rank_sum_table(np.sort(units).tobytes())[min(positive, total - positive)]))


@lru_cache(maxsize=16)
def _rank_sum_table(ranks: bytes) -> Floats:
    """For each sum, how likely that ranks with fair-coin signs give at most that."""
    return np.cumsum(rank_sum_distribution(np.frombuffer(ranks, dtype=np.int64)))


def rank_sum_distribution(ranks: NDArray[np.int64]) -> Floats:
    """How likely each sum of the positive ranks is when every sign is a fair coin: rank by rank, with and without it."""
    likelihood = np.zeros(int(ranks.sum()) + 1)
    likelihood[0], top = 1.0, 0
    for rank in ranks.tolist():
        likelihood[: top + rank + 1] /= 2
        likelihood[rank : top + rank + 1] += likelihood[: top + 1].copy()
        top += rank
    return likelihood


def sign_flip_test(differences: Floats, *, seed: int) -> float:
    """The permutation test of the mean difference: if neither arm is better, every difference might as well have the
    other sign.

    Exact when the differences are of one size (as with yes-or-no scores) or up to 16 items changed; else by 10,000
    seeded flips of all signs, and by the normal approximation when there are more than 1,000 items.
    """
    changed = differences[differences != 0]
    if not len(changed):
        return 1.0
    if np.ptp(np.abs(changed)) == 0:
        return mcnemar_test(changed)
    observed, scale = abs(float(changed.sum())), float(np.abs(changed).sum())
    if len(changed) <= _MOST_CHANGED_ITEMS_TO_ENUMERATE:
        sums = np.zeros(1)
        for difference in changed:
            sums = np.concatenate((sums + difference, sums - difference))
        return float((np.abs(sums) >= observed - 1e-9 * scale).mean())
    if len(differences) > _MOST_ITEMS_TO_FLIP:
        return min(1.0, 2 * float(stats.norm.sf(observed / math.sqrt(float((changed**2).sum())))))
    flipped = np.abs(_signs(len(differences), seed) @ differences.astype(np.float32))
    # What came out is one of the possible flips; and what only rounding tells apart is a tie.
    return (1 + int((flipped >= observed - 1e-6 * scale).sum())) / (1 + _FLIPS)


@lru_cache(maxsize=1)
def _signs(n: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).choice(np.array([-1, 1], dtype=np.float32), size=(_FLIPS, n))


def cohens_d(differences: Floats) -> float | None:
    """Cohen's d for paired samples (his d_z): the mean difference over the standard deviation of the differences.

    None where they do not vary, as with a single item. Its size depends on how alike the arms are, so it is not to be
    held against a d of two independent groups.
    """
    if len(differences) < 2 or np.ptp(differences) == 0:
        return None
    return float(differences.mean() / differences.std(ddof=1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order of `p_values`: whatever is true, all that are at most 0.05 are right
    together in 95 of 100 evaluations."""
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for before, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        largest = max(largest, min(1.0, p_values[place] * (len(p_values) - before)))
        adjusted[place] = largest
    return adjusted
