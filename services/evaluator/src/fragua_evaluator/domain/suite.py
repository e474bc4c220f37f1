"""The suites of an evaluation: which questions are asked, and how the answers are scored."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from fragua_evaluator.domain.arm import Message, RelativePath, Text
from fragua_evaluator.domain.frozen import Frozen, Slug

MAX_CASES = 1_000


class SuiteKind(StrEnum):
    GENERATION = "generation"
    """The arm answers, and metrics score the answer."""
    MULTIPLE_CHOICE = "multiple_choice"
    """The choice whose text is likeliest counts as the answer; nothing is generated."""
    PERPLEXITY = "perplexity"
    """How likely the expected answers are, token by token; nothing is generated."""


class MetricChoice(Frozen):
    """A metric by name, or by import path `module:function`, with what it needs to know."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*(:[A-Za-z_][A-Za-z0-9_]*)?$", max_length=200)]
    options: dict[str, Any] = Field(default_factory=dict, max_length=32)


class Case(Frozen):
    """A question that the suite itself holds."""

    id: Annotated[str, Field(min_length=1, max_length=128)]
    tag: Annotated[str, Field(max_length=64)] = ""
    """What kind of case it is, e.g. `multi-domain`, `ambiguous`."""
    messages: tuple[Message, ...] = Field(min_length=1, max_length=64)
    """Up to and including the question."""
    expected: Text = ""
    """Empty where no single answer is right, and only metrics that need none can score."""
    metadata: dict[str, Any] = Field(default_factory=dict)


class SuiteSpec(Frozen):
    """Questions come from the held-out rows of a dataset version, from the suite's own cases, or from both."""

    name: Slug
    description: Annotated[str, Field(max_length=1_000)] = ""
    kind: SuiteKind = SuiteKind.GENERATION
    rows: RelativePath | None = None
    """The file of held-out rows below `inputs/`."""
    cases: tuple[Case, ...] = Field(default=(), max_length=MAX_CASES)
    metrics: tuple[MetricChoice, ...] = Field(default=(), max_length=16)
    """The first is the one that arms are compared by. Multiple choice and perplexity have their own and take none."""
    max_items: Annotated[int, Field(ge=1, le=100_000)] = 150
    """When there are more, the evaluation's seed draws them."""
    max_new_tokens: Annotated[int, Field(ge=1, le=8_192)] | None = None
    """Instead of the evaluation's own."""
    tag_field: Annotated[str, Field(max_length=64)] = "type"
    """The key of a row's metadata by whose value results are also told apart."""

    @property
    def generates(self) -> bool:
        return self.kind is SuiteKind.GENERATION

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.rows is None and not self.cases:
            raise ValueError("a suite needs rows of a dataset version, or cases of its own")
        if self.kind is SuiteKind.GENERATION and not self.metrics:
            raise ValueError("a suite of kind generation needs at least one metric")
        if self.kind is not SuiteKind.GENERATION and self.metrics:
            raise ValueError(f"a suite of kind {self.kind} has a metric of its own; leave `metrics` out")
        return self
