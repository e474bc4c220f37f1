"""Which rows of a version a filter keeps."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from fragua_dataset.domain.profile import Profile, TextLimits

FieldName = Annotated[str, Field(min_length=1, max_length=128)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Bounds(_Frozen):
    min: FiniteFloat | None = None
    max: FiniteFloat | None = None

    @model_validator(mode="after")
    def _right_way_round(self) -> Bounds:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}: no row can be kept")
        return self


class RowFilter(_Frozen):
    """A row is kept when it meets every condition; a row without a number that a condition asks for does not meet it."""

    metrics: dict[FieldName, Bounds] = Field(default_factory=dict, max_length=32)
    """Bounds on numbers of the row's metadata, such as `score`."""
    question: TextLimits = TextLimits()
    answer: TextLimits = TextLimits()
    profile: Profile | None = None
    """Rows in which this profile finds an error are left out."""
    min_examples: int = Field(default=1, ge=1, le=100_000_000)
    """Fewer kept rows make the new version invalid."""
