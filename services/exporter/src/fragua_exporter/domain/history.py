"""Where an export came from, as documents tell it: what it was made of, how its adapter was trained, how it was scored."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from fragua_exporter.domain.export_spec import violations_of
from fragua_platform.errors import InvalidData


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Ingredient(_Frozen):
    """Something that an export was made from, pinned by its digest."""

    role: str
    """`base model`, `adapter`, `importance dataset`, `task dataset`."""
    name: str
    manifest_sha256: str
    source: str = ""
    """Where it came from before: `hub:org/name@commit`, `gguf:file.gguf`, `upload`."""


class Score(_Frozen):
    """What an evaluation reported to the trainer for this adapter."""

    evaluation: str
    metric: str
    base_score: float
    tuned_score: float
    item_count: int
    verdict: str = ""
    """`GO`, `NO_GO` or `INCONCLUSIVE`; empty where the evaluation came to none."""
    reasons: tuple[str, ...] = ()
    """Why, one line each."""
    decision: str = ""
    """What somebody decided then; empty where nobody had decided."""


class History(_Frozen):
    """`inputs/history.json`: what the services know of an export; by hand it may be left out."""

    export: str = ""
    ingredients: tuple[Ingredient, ...] = ()
    scores: tuple[Score, ...] = ()
    warnings: tuple[str, ...] = ()
    """What one has to know of the base, e.g. that its weights were dequantized from a GGUF file."""


class _FromTraining(BaseModel):
    """Of the training's own record only what documents tell; it holds more, and more with every version."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class LossSeries(_FromTraining):
    first: float
    last: float
    best: float
    best_step: int


class SplitFacts(_FromTraining):
    sha256: str
    rows: int


class DatasetFacts(_FromTraining):
    train: SplitFacts
    validation: SplitFacts


class LoraFacts(_FromTraining):
    rank: int
    alpha: float


class ScheduleFacts(_FromTraining):
    learning_rate: float
    batch_size: int
    gradient_accumulation: int
    max_length: int
    seed: int


class ArgumentFacts(_FromTraining):
    lora: LoraFacts
    schedule: ScheduleFacts


class TrainingFacts(_FromTraining):
    """`inputs/adapter/training_info.json`, as the trainer wrote it."""

    arguments: ArgumentFacts
    provenance: dict[str, str] = {}
    precision: str
    trainable_parameters: int
    base_parameters: int
    dataset: DatasetFacts
    steps: int
    epochs: float
    tokens: int
    loss: LossSeries | None = None
    validation_loss: LossSeries | None = None
    started: str
    finished: str
    training_seconds: float
    hardware: dict[str, str | int] = {}
    versions: dict[str, str] = {}


def parse_history(document: bytes) -> History:
    try:
        return History.model_validate_json(document)
    except ValidationError as invalid:
        raise InvalidData(
            "inputs/history.json is not usable", violations=violations_of(invalid, "history.json")
        ) from invalid


def parse_training(document: bytes) -> TrainingFacts:
    try:
        return TrainingFacts.model_validate_json(document)
    except ValidationError as invalid:
        raise InvalidData(
            "adapter: its training_info.json is not what our trainer writes; remove it, and the model card tells nothing "
            "of the training",
            violations=violations_of(invalid, "training_info.json"),
        ) from invalid
