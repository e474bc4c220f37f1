"""Decisions of people on evaluations: recorded for ever, one after the other."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from fragua_evaluator.domain.verdict import Outcome, Verdict

OVERRIDE_KIND: Final = "override"
"""What a signature over an override says that it is."""


class VerificationStatus(StrEnum):
    PENDING = "pending"
    """Nobody has decided yet."""
    VERIFIED = "verified"
    REJECTED = "rejected"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Decision:
    outcome: Outcome
    verdict: Verdict
    """What the policy said at that moment, votes included."""
    decided_by: str
    reason: str
    decided: datetime

    @property
    def overridden(self) -> bool:
        return self.outcome is not self.verdict.outcome


def verification_status(decisions: Sequence[Decision]) -> VerificationStatus:
    """Of the evaluated model; the last decision counts."""
    if not decisions:
        return VerificationStatus.PENDING
    return {
        Outcome.GO: VerificationStatus.VERIFIED,
        Outcome.NO_GO: VerificationStatus.REJECTED,
        Outcome.INCONCLUSIVE: VerificationStatus.UNDECIDED,
    }[decisions[-1].outcome]


def override_digest(outcome: Outcome, decided_by: str, reason: str) -> str:
    """What somebody signs who overrides a verdict, together with the evaluation's name."""
    return hashlib.sha256(f"{outcome.value}\n{decided_by}\n{reason}".encode()).hexdigest()
