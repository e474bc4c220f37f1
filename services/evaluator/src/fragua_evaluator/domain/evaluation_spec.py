"""What one evaluation is asked to do (`EvaluationSpec`) and what it measured (`EvaluationReport`)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from fragua_platform.errors import InvalidInput, Violation

ProvenanceKey = Annotated[str, StringConstraints(min_length=1, max_length=128)]
ProvenanceText = Annotated[str, StringConstraints(max_length=4096)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Metric(StrEnum):
    """How one answer is scored against the expected one, from 0 to 1."""

    EXACT_MATCH = "exact_match"
    """1 when both are the same text but for white space and Unicode form; case counts."""
    CONTAINS = "contains"
    """1 when the expected text occurs in the answer, whatever its case."""
    TOKEN_F1 = "token_f1"
    """Harmonic mean of precision and recall over words and signs, whatever their case and order."""

    @property
    def is_graded(self) -> bool:
        """Whether a score may lie between 0 and 1; the statistics differ."""
        return self is Metric.TOKEN_F1


class Arm(StrEnum):
    """The two models that are compared."""

    BASE = "base"
    TUNED = "tuned"


class EvaluationSpec(_Frozen):
    """Every field has a default, so `{}` is a valid specification."""

    max_items: Annotated[int, Field(ge=1, le=100_000)] = 150
    """Held-out rows that are asked at most; when there are more, `seed` draws them."""
    max_new_tokens: Annotated[int, Field(ge=1, le=8_192)] = 64
    """Where an answer that does not end by itself is cut."""
    batch_size: Annotated[int, Field(ge=1, le=1_024)] = 16
    """Answers generated side by side; a memory and speed matter."""
    metric: Metric = Metric.EXACT_MATCH
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Draws the items and the bootstrap samples."""
    checkpoint_seconds: Annotated[float, Field(ge=0, le=86_400)] = 5.0
    """The least time between two checkpoints; 0 saves one after every batch."""
    provenance: dict[ProvenanceKey, ProvenanceText] = Field(default_factory=dict, max_length=64)
    """Where the inputs came from; copied to the report."""


class ArmReport(_Frozen):
    """What was measured for one of the two models."""

    score: float
    """Mean over the items."""
    ci95: tuple[float, float]
    """95 % confidence interval of the score: Wilson for yes-or-no metrics, bootstrap for graded ones."""
    n: int
    tokens: int
    seconds: float
    """Spent in generation, reading the prompts included."""
    tokens_per_second: float
    peak_rss_bytes: int | None
    """The most memory that the process held while this arm answered; None where the system cannot tell."""
    stopped_rate: float
    """The share of answers that ended by themselves."""


class PairedReport(_Frozen):
    """The same items, answered by both."""

    n: int
    improved: int
    worsened: int
    tied: int
    p_value: float
    """Of the hypothesis that neither model is better; two-sided."""
    test: str


class EvaluationReport(_Frozen):
    """`outputs/report.json`."""

    arms: dict[Arm, ArmReport]
    paired: PairedReport
    fairness: dict[str, str | int | list[int]]
    """What was the same for both arms."""
    spec: EvaluationSpec
    provenance: dict[ProvenanceKey, ProvenanceText]
    versions: dict[str, str]
    duration_seconds: float
    """Of the attempt that finished, loading included; the arms' own seconds count all attempts."""


class AnsweredItem(_Frozen):
    """One line of `outputs/items.jsonl`: a question, and both answers with their scores."""

    id: str
    prompt: list[dict[str, str]]
    expected: str
    outputs: dict[Arm, str]
    scores: dict[Arm, float]
    truncated: dict[Arm, bool]
    """True when the answer was cut at `max_new_tokens`."""
    tokens: dict[Arm, int]
    seconds: dict[Arm, float]
    """This item's share of its batch."""


def parse_evaluation_spec(fields: Mapping[str, Any]) -> EvaluationSpec:
    """Raises InvalidInput with one violation per problem."""
    try:
        return EvaluationSpec.model_validate(fields)
    except ValidationError as invalid:
        violations = [
            Violation(".".join(str(part) for part in error["loc"]), error["msg"]) for error in invalid.errors()
        ]
        listed = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
        raise InvalidInput(f"the evaluation specification is invalid: {listed}", violations=violations) from invalid
