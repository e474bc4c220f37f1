"""What one fine-tuning run is asked to do: the `spec.json` of the training engine, and the keys of a preset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from fragua_platform.errors import InvalidInput, Violation
from fragua_trainer.domain.spec_problems import Problem, read_with_problems

ModuleName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.]{1,64}$")]
ProvenanceKey = Annotated[str, StringConstraints(min_length=1, max_length=128)]
ProvenanceText = Annotated[str, StringConstraints(max_length=4096)]

DEFAULT_WARMUP_STEPS = 10
SESSION_FILE = "session.json"
"""In the job directory: what the attempt runs on, written before it can fail for lack of anything."""
SMALLER_AFTER = "smaller_after"
"""Key of `provenance`: why this attempt takes less memory than was asked for."""


class SchedulerShape(StrEnum):
    """The course of the learning rate after warm-up."""

    COSINE = "cosine"
    LINEAR = "linear"
    CONSTANT = "constant"


class Precision(StrEnum):
    """The number format that the frozen base is held and multiplied in; adapters always train in fp32."""

    AUTO = "auto"
    """Chosen for the hardware and recorded in training_info.json."""
    FP32 = "fp32"
    BF16 = "bf16"


class Quantization(StrEnum):
    """How the frozen base is held in memory."""

    AUTO = "auto"
    """Not quantized; in the number format that `precision` says."""
    BNB4 = "bnb4"
    """NF4 with double quantization, through bitsandbytes; multiplied in `precision`."""
    INT8 = "int8"
    """LLM.int8(), through bitsandbytes."""
    BF16 = "bf16"
    """The same as `precision: bf16`."""
    FP32 = "fp32"
    """The same as `precision: fp32`."""


class Optimizer(StrEnum):
    ADAMW = "adamw"
    ADAMW_8BIT = "adamw_8bit"
    """Moments in 8 bits, through bitsandbytes."""
    PAGED_ADAMW_8BIT = "paged_adamw_8bit"
    """The same, paged out to main memory when a GPU runs short."""


class LoraBias(StrEnum):
    """Which biases train along."""

    NONE = "none"
    ALL = "all"
    LORA_ONLY = "lora_only"


class StoppingMetric(StrEnum):
    """What early stopping watches. All but the loss are measured on generated answers."""

    VALIDATION_LOSS = "validation_loss"
    EXACT_MATCH = "exact_match"
    TOKEN_F1 = "token_f1"
    CONTAINS = "contains"


class Substitution(StrEnum):
    """What a run may do where the machine lacks what a quantization or optimizer needs."""

    REFUSE = "refuse"
    ALLOW = "allow"
    """Take the nearest that works, and say so in `notices` and training_info.json."""


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
    bias: LoraBias = LoraBias.NONE
    rslora: bool = False
    """Scales by alpha / sqrt(rank) instead."""
    dora: bool = False
    """Trains magnitude and direction of each weight apart; about a third slower."""
    lora_plus_ratio: float = Field(default=1.0, ge=1, le=1000)
    """LoRA+: the learning rate of B is this many times that of A."""

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
    warmup_steps: int | None = Field(default=None, ge=0, le=1_000_000)
    """Steps of linear warm-up; 10 when `warmup_ratio` is not given either."""
    warmup_ratio: float | None = Field(default=None, ge=0, le=1)
    """Warm-up as a share of all steps; excludes `warmup_steps`."""
    weight_decay: float = Field(default=0.0, ge=0, le=1)
    scheduler: SchedulerShape = SchedulerShape.COSINE
    max_length: int = Field(default=2048, ge=8, le=131_072)
    """Tokens per row, prompt and answer together; a longer row is refused, never cut."""
    neftune_alpha: float = Field(default=0.0, ge=0, le=100)
    """Noise on the embeddings while training (NEFTune); 0 is none."""
    packing: bool = True
    """Short rows share one sequence, strictly apart from each other: faster, and the result is that of separate rows."""
    gradient_checkpointing: bool | None = None
    """Computes activations twice to hold fewer of them; as memory asks when not given."""
    seed: int = Field(default=42, ge=0, le=2**63 - 1)

    def warm_up(self, total_steps: int) -> int:
        """Steps of linear warm-up; a run shorter than twice what was asked warms up for its first half."""
        if self.warmup_ratio is not None:
            asked = round(self.warmup_ratio * total_steps)
        else:
            asked = DEFAULT_WARMUP_STEPS if self.warmup_steps is None else self.warmup_steps
        return min(asked, total_steps // 2)


class LoggingSpec(_SpecPart):
    """How often the run is measured and saved, in optimizer steps; 0 is once after each epoch."""

    log_steps: int = Field(default=10, ge=1, le=1_000_000)
    save_steps: int = Field(default=50, ge=0, le=1_000_000)
    """An interruption without warning costs at most this many steps."""
    eval_steps: int = Field(default=50, ge=0, le=1_000_000)
    keep_checkpoints: int = Field(default=2, ge=1, le=100)
    """The last so many are kept; the best one is kept beside them."""

    def in_steps(self, steps_per_epoch: int) -> Self:
        return self.model_copy(
            update={
                "save_steps": self.save_steps or steps_per_epoch,
                "eval_steps": self.eval_steps or steps_per_epoch,
            }
        )


class EarlyStoppingSpec(_SpecPart):
    """Ends a run that does not get better; the best checkpoint becomes the adapter."""

    patience: int = Field(default=0, ge=0, le=1000)
    """Measurements without improvement before it stops; 0 never stops."""
    min_delta: float = Field(default=0.0, ge=0, le=1000)
    """Less than this is no improvement."""
    metric: StoppingMetric = StoppingMetric.VALIDATION_LOSS
    rows: int = Field(default=64, ge=1, le=100_000)
    """Validation rows that are answered for one measurement of a metric by generation."""
    answer_tokens: int = Field(default=256, ge=1, le=131_072)
    """Where a generated answer that does not end is cut."""


class LimitsSpec(_SpecPart):
    """For smoke runs and for runs that have to end in time; 0 means no limit. `schedule.max_steps` is one too."""

    train_rows: int = Field(default=0, ge=0)
    validation_rows: int = Field(default=0, ge=0)
    max_seconds: int = Field(default=0, ge=0)
    """After this time of training the run saves, publishes what it has and says so."""


class TrainingSpec(_SpecPart):
    """One run of the engine; every part has a default, so `{}` is a valid specification."""

    lora: LoraSpec = LoraSpec()
    schedule: ScheduleSpec = ScheduleSpec()
    logging: LoggingSpec = LoggingSpec()
    precision: Precision = Precision.AUTO
    quantization: Quantization = Quantization.AUTO
    optimizer: Optimizer = Optimizer.ADAMW
    early_stopping: EarlyStoppingSpec = EarlyStoppingSpec()
    limits: LimitsSpec = LimitsSpec()
    warm_start: str = Field(default="", max_length=256)
    """The adapter of the same base to train on from, e.g. `branches/ba/adapters/3`; its files are in `inputs/adapter`."""
    substitution: Substitution = Substitution.REFUSE
    shard_base: bool | None = None
    """Splits the base over the processes of a run, one for each GPU; where it does not fit one when not given."""
    retry_smaller: bool = False
    """After a lack of memory, tries once more with half the batch and gradient checkpointing."""
    provenance: dict[ProvenanceKey, ProvenanceText] = Field(default_factory=dict, max_length=64)
    """Where the inputs came from; copied to training_info.json. `base_model` is also named in adapter_config.json."""

    @property
    def base_precision(self) -> Precision:
        """What `precision` and `quantization` together say of the base's number format."""
        match self.quantization:
            case Quantization.BF16:
                return Precision.BF16
            case Quantization.FP32:
                return Precision.FP32
            case _:
                return self.precision

    def smaller(self) -> Self:
        """The same steps in less memory: at most half the rows at once, and activations computed twice."""
        schedule = self.schedule
        rows = next(size for size in range(max(1, schedule.batch_size // 2), 0, -1) if schedule.batch_size % size == 0)
        accumulation = schedule.gradient_accumulation * (schedule.batch_size // rows)
        lighter = {"batch_size": rows, "gradient_accumulation": accumulation, "gradient_checkpointing": True}
        return self.model_copy(update={"schedule": schedule.model_copy(update=lighter), "retry_smaller": False})

    def contradictions(self) -> list[Problem]:
        """What no run could obey, although each value is a valid one."""
        found = []
        schedule, lora = self.schedule, self.lora
        if schedule.warmup_steps is not None and schedule.warmup_ratio is not None:
            found.append(Problem(("schedule", "warmup_ratio"), "excludes schedule.warmup_steps: give one of the two"))
        if self.precision not in (Precision.AUTO, self.base_precision):
            found.append(
                Problem(
                    ("quantization",),
                    f"is {self.quantization.value}, but precision is {self.precision.value}: give one of the two",
                )
            )
        if lora.bias is not LoraBias.NONE and self.quantization in (Quantization.BNB4, Quantization.INT8):
            found.append(
                Problem(
                    ("lora", "bias"),
                    f"biases of a base in {self.quantization.value} cannot be trained: take bias: none, or no quantization",
                )
            )
        if lora.dora and self.quantization is Quantization.INT8:
            found.append(Problem(("lora", "dora"), "cannot train on a base in int8: take quantization: bnb4, or none"))
        if self.shard_base and self.quantization in (Quantization.BNB4, Quantization.INT8):
            found.append(
                Problem(
                    ("shard_base",),
                    f"cannot split a base in {self.quantization.value}: leave it out, or take no quantization",
                )
            )
        if (fastest := schedule.learning_rate * lora.lora_plus_ratio) > 1:
            found.append(
                Problem(
                    ("lora", "lora_plus_ratio"),
                    f"makes the learning rate of B {fastest:g}, above 1: lower it or schedule.learning_rate",
                )
            )
        if self.retry_smaller and schedule.batch_size == 1 and schedule.gradient_checkpointing:
            found.append(
                Problem(
                    ("retry_smaller",),
                    "has nothing smaller to try: schedule.batch_size is 1 and gradient_checkpointing is on already",
                )
            )
        return found

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> tuple[Self, list[Problem]]:
        """The specification that `raw` describes, with everything that is wrong with it.

        Where something is wrong the default stands in its place, so that contradictions among the rest are found too.
        """
        spec, problems = read_with_problems(cls, raw)
        return spec, problems + spec.contradictions()

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Self:
        """Build a specification from plain data, or raise `InvalidInput` with one violation per problem."""
        spec, problems = cls.read(raw)
        if problems:
            raise invalid_specification([Violation(problem.place, problem.description) for problem in problems])
        return spec


def invalid_specification(violations: Sequence[Violation]) -> InvalidInput:
    listed = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
    return InvalidInput(f"the training specification is invalid: {listed}", violations=violations)
