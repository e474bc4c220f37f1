"""What to expect of an arm in use, from how sure its difference is: pessimistic, realistic, optimistic."""

from __future__ import annotations

from dataclasses import dataclass

from fragua_evaluator.domain.report import PairedComparison


@dataclass(frozen=True)
class Expectation:
    difference: float
    """To the baseline."""
    score: float


@dataclass(frozen=True)
class Expectations:
    """The ends of the 95 % interval of the difference and what was measured; nothing is assumed beyond the items."""

    pessimistic: Expectation
    realistic: Expectation
    optimistic: Expectation


def expectations(comparison: PairedComparison) -> Expectations:
    """Of `comparison.arm`. A score stays within 0 and 1; log-likelihoods, which lie below 0, within their own range."""
    floor = 0.0 if comparison.baseline_score >= 0 and comparison.arm_score >= 0 else float("-inf")

    def expect(difference: float) -> Expectation:
        return Expectation(difference, min(1.0, max(floor, comparison.baseline_score + difference)))

    return Expectations(
        pessimistic=expect(comparison.interval.low),
        realistic=Expectation(comparison.difference, comparison.arm_score),
        optimistic=expect(comparison.interval.high),
    )
