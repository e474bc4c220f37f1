"""How sure the numbers are: confidence intervals of one score and tests of two scores over the same items.

The two models answer the same questions, so they are compared question by question. Comparing their two means
instead would drown a real difference in the spread between easy and hard questions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats  # type: ignore[import-untyped]

from fragua_evaluator.domain.evaluation_spec import Metric, PairedReport

_RESAMPLES = 10_000


def confidence_interval(scores: Sequence[float], metric: Metric, seed: int) -> tuple[float, float]:
    """95 % interval of the mean.

    Yes-or-no scores take Wilson's interval: unlike mean ± 1.96 standard errors it stays within 0 and 1 and does not
    shrink to nothing when all of a few answers are right. Graded scores take the percentile bootstrap, which assumes
    no distribution; resampling equal scores shows no spread at all, so these fall back to Wilson's, which is wider.
    """
    if metric.is_graded and len(set(scores)) > 1:
        resampled = stats.bootstrap(
            (np.asarray(scores),), np.mean, n_resamples=_RESAMPLES, method="percentile", rng=np.random.default_rng(seed)
        )
        return float(resampled.confidence_interval.low), float(resampled.confidence_interval.high)
    right = sum(scores)
    return _wilson(math.floor(right), len(scores))[0], _wilson(math.ceil(right), len(scores))[1]


def _wilson(right: int, n: int) -> tuple[float, float]:
    interval = stats.binomtest(right, n).proportion_ci(confidence_level=0.95, method="wilson")
    return float(interval.low), float(interval.high)


def compare(base: Sequence[float], tuned: Sequence[float], metric: Metric) -> PairedReport:
    """Two-sided test that neither model is better, on the items where they differ.

    Yes-or-no scores take McNemar's test in its exact form: if neither is better, each item on which they differ is a
    fair coin. Graded scores take Wilcoxon's signed-rank test, which also weighs how large the differences are.
    """
    differences = np.asarray(tuned) - np.asarray(base)
    improved, worsened = int((differences > 0).sum()), int((differences < 0).sum())
    if improved + worsened == 0:
        p_value = 1.0
    elif metric.is_graded:
        p_value = float(stats.wilcoxon(differences).pvalue)
    else:
        p_value = float(stats.binomtest(improved, improved + worsened, 0.5).pvalue)
    return PairedReport(
        n=len(differences),
        improved=improved,
        worsened=worsened,
        tied=len(differences) - improved - worsened,
        p_value=p_value,
        test="Wilcoxon signed-rank" if metric.is_graded else "exact McNemar",
    )
