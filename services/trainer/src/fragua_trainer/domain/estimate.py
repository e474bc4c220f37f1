"""What a run would need and do, known or measured before it begins."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from fragua_trainer.domain.training_spec import TrainingSpec


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EstimateOrder(_Plain):
    """The `spec.json` of `fragua_trainer.training.preflight`."""

    training: TrainingSpec
    measure: bool = False
    """Load the base and take a few steps, for a time that is measured."""


class TargetMatch(_Plain):
    target: str
    layers: int
    shape: tuple[int, int]
    """Outputs and inputs of one such layer."""


class MaskProof(_Plain):
    """That the loss is taken on the answers and the end of each turn, counted on the very labels of the run."""

    rows: int
    tokens: int
    supervised_tokens: int
    shortest_answer_tokens: int
    """Supervised tokens of the row that has the fewest."""
    longest_row_tokens: int
    rows_with_end_of_turn: int
    """Rows whose every answer ends, within the loss, with a token that stops generation."""


class Estimate(_Plain):
    trainable_parameters: int
    base_parameters: int
    targets: tuple[TargetMatch, ...]
    mask: MaskProof
    tokens_per_epoch: int
    steps: int
    memory_bytes: int
    """Measured where steps were measured; else computed from shapes, and right to about a third."""
    disk_bytes: int
    seconds_per_step: float | None = None
    seconds: float | None = None
    """Of all steps and validations; absent when nobody measured."""
    notices: tuple[str, ...] = ()
