"""Votes of people over pairs of answers."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from fragua_evaluator.domain.frozen import Frozen, Slug
from fragua_evaluator.domain.report import EvaluationReport


class Preference(StrEnum):
    LEFT = "left"
    RIGHT = "right"
    TIE = "tie"


class Vote(Frozen):
    """What one person preferred for one item."""

    suite: Slug
    item: Annotated[str, Field(min_length=1, max_length=256)]
    left: Slug
    """The arm whose answer stood on the left, as A."""
    right: Slug
    preferred: Preference
    blind: bool = True
    """Whether the names of the arms were hidden when the vote was cast."""
    note: Annotated[str, Field(max_length=2_000)] = ""

    @property
    def winner(self) -> str | None:
        """The preferred arm; None is a tie."""
        return {Preference.LEFT: self.left, Preference.RIGHT: self.right, Preference.TIE: None}[self.preferred]

    @model_validator(mode="after")
    def _two_arms(self) -> Self:
        if self.left == self.right:
            raise ValueError(f"left and right are the same arm, {self.left}; a vote is between two")
        return self


def report_digest(report: EvaluationReport) -> str:
    """What votes are bound to; the same for a report that was written and read again."""
    return hashlib.sha256(report.model_dump_json().encode()).hexdigest()
