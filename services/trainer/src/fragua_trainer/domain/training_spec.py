"""What one fine-tuning run is asked to do: the `spec.json` of the training engine."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from fragua_platform.errors import InvalidInput, Violation

ModuleName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.]{1,64}$")]
ProvenanceKey = Annotated[str, StringConstraints(min_length=1, max_length=128)]
ProvenanceText = Annotated[str, StringConstraints(max_length=4096)]


class SchedulerShape(StrEnum):
    """The course of the learning rate after warm-up."""

    COSINE = "cosine"
    LINEAR = "linear"
    CONSTANT = "constant"


class Precision(StrEnum):
    """The number format of the frozen base; adapters always train in fp32."""

    AUTO = "auto"
    """Chosen for the hardware and recorded in training_info.json."""
    FP32 = "fp32"
    BF16 = "bf16"


class _SpecPart(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LoraSpec(_SpecPart):
    """Which weights are trained."""

    rank: int = Field(default=16, ge=1, le=1024)
    alpha: float = Field(default=32.0, gt=0, le=4096)
    """The update is scaled by alpha / rank; doubling rank alone halves it."""
    dropout: float = Field(default=0.05, ge=0, lt=1)
    target_modules: tuple[ModuleName, ...] = Field(default=(), max_length=32)
    """Names of linear layers; empty takes every linear layer of the architecture except the output head."""

    @field_validator("target_modules")
    @classmethod
    def _named_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"named twice: {', '.join(twice)}")
        return names


class ScheduleSpec(_SpecPart):
    """How long, how fast, and on how much at once."""

    epochs: float = Field(default=3.0, gt=0, le=1000)
    """Passes over the training rows; not used when `max_steps` is set."""
    max_steps: int = Field(default=0, ge=0, le=10_000_000)
    """Optimizer steps; 0 means by epochs."""
    batch_size: int = Field(default=4, ge=1, le=1024)
    """Rows per micro-batch."""
    gradient_accumulation: int = Field(default=1, ge=1, le=4096)
    """Micro-batches per optimizer step."""
    learning_rate: float = Field(default=2e-4, gt=0, le=1)
    warmup_steps: int = Field(default=10, ge=0, le=1_000_000)
    """Steps of linear warm-up; a run shorter than twice this warms up for its first half."""
    weight_decay: float = Field(default=0.0, ge=0, le=1)
    scheduler: SchedulerShape = SchedulerShape.COSINE
    max_length: int = Field(default=2048, ge=8, le=131_072)
    """Tokens per row, prompt and answer together; a longer row is refused, never cut."""
    seed: int = Field(default=42, ge=0, le=2**63 - 1)


class LoggingSpec(_SpecPart):
    """How often the run is measured and saved, in optimizer steps."""

    log_steps: int = Field(default=10, ge=1, le=1_000_000)
    save_steps: int = Field(default=50, ge=1, le=1_000_000)
    """An interruption without warning costs at most this many steps."""
    eval_steps: int = Field(default=50, ge=1, le=1_000_000)


class TrainingSpec(_SpecPart):
    """One run of the engine; every part has a default, so `{}` is a valid specification."""

    lora: LoraSpec = LoraSpec()
    schedule: ScheduleSpec = ScheduleSpec()
    logging: LoggingSpec = LoggingSpec()
    precision: Precision = Precision.AUTO
    provenance: dict[ProvenanceKey, ProvenanceText] = Field(default_factory=dict, max_length=64)
    """Where the inputs came from; copied to training_info.json. `base_model` is also named in adapter_config.json."""

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Self:
        """Build a specification from plain data, or raise `InvalidInput` with one violation per problem."""
        try:
            return cls.model_validate(raw)
        except ValidationError as problems:
            violations = [
                Violation(".".join(str(part) for part in problem["loc"]), _way_out(problem["msg"], problem["input"]))
                for problem in problems.errors(include_url=False)
            ]
            listed = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
            raise InvalidInput(f"the training specification is invalid: {listed}", violations=violations) from None


def _way_out(description: str, given: Any) -> str:
    """The rule that was broken, with the value that broke it when it is short enough to read."""
    shown = repr(given)
    return f"{description} (got {shown})" if len(shown) <= 80 else description
