"""A verdict: what a gate policy says of a candidate, with every reason and number."""

from __future__ import annotations

from enum import StrEnum

from fragua_evaluator.domain.frozen import Frozen


class Outcome(StrEnum):
    GO = "GO"
    """The candidate replaces what is in use."""
    NO_GO = "NO_GO"
    """It does not."""
    INCONCLUSIVE = "INCONCLUSIVE"
    """There is not enough data to say; the reasons tell how much would be."""


class Tier(StrEnum):
    CRITICAL = "critical"
    """Unmet, the verdict is NO_GO; undecided or not measured, it is INCONCLUSIVE."""
    SUPPORTING = "supporting"
    """Unmet, the verdict is INCONCLUSIVE at best."""
    ADVISORY = "advisory"
    """Told, and changes nothing."""


class ReasonState(StrEnum):
    MET = "met"
    UNMET = "unmet"
    UNDECIDED = "undecided"
    NOT_MEASURED = "not_measured"


class Reason(Frozen):
    criterion: str
    """Its name in the policy, e.g. `improvement`, `yaml-valid`, `required-suites`."""
    tier: Tier
    state: ReasonState
    measured: float | None
    threshold: float | None
    text: str
    """One sentence for people, with the numbers."""


class Verdict(Frozen):
    outcome: Outcome
    policy: str
    """Its name and the first digits of its digest, e.g. `adopt@1f3a9c2b`."""
    baseline: str
    candidate: str
    recommended_arm: str | None
    """The arm to use: the candidate after GO, else the best simpler one; of a selection the winner, or None."""
    reasons: tuple[Reason, ...]
