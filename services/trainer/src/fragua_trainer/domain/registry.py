"""The registry's plain data: base models, and each branch's line of adapters."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from fragua_platform.artifacts.manifest import Bundle
from fragua_platform.errors import FailureClass


class AdapterState(StrEnum):
    """`model_registry.status`."""

    PENDING_TRAINING = "pending-training"
    TRAINING = "training"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True)
class BaseModel:
    name: str
    """`baseModels/{model}/revisions/{revision}`"""
    architecture: str
    bundle: Bundle
    created: datetime
    source: str = "upload"
    """Where it came from: `hub:org/name@commit`, `gguf:file.gguf` or `upload`."""
    warnings: tuple[str, ...] = ()
    """What a user has to know of it."""


@dataclass(frozen=True)
class AdapterScore:
    """What one evaluation reported, by the first of its suites."""

    evaluation: str
    suite: str
    metric: str
    base_score: float
    """Of the arm that the adapter was compared with."""
    tuned_score: float
    item_count: int
    verdict: str = ""
    """`GO`, `NO_GO` or `INCONCLUSIVE`; empty when no gate policy judged."""
    reasons: tuple[str, ...] = ()
    """Of the verdict, one sentence each."""
    verification_status: str = ""
    """`verified`, `rejected` or `undecided`; empty until somebody decides."""


@dataclass(frozen=True)
class Adapter:
    branch: str
    number: int
    """1, 2, 3… within the branch; a failed training keeps its number."""
    state: AdapterState
    training_job: str
    dataset_version: str
    base_model: str
    created: datetime
    ready: datetime | None = None
    bundle: Bundle | None = None
    trainable_parameters: int = 0
    final_loss: float | None = None
    validation_loss: float | None = None
    failure_class: FailureClass | None = None
    """Whose move it is, when FAILED; None when it was cancelled."""
    scores: tuple[AdapterScore, ...] = ()

    @property
    def name(self) -> str:
        return adapter_name(self.branch, self.number)


@dataclass(frozen=True)
class Metric:
    """One measured value of a run."""

    attempt: int
    step: int
    name: str
    value: float
    recorded: datetime


def adapter_name(branch: str, number: int) -> str:
    return f"branches/{branch}/adapters/{number}"


def adapter_prefix(branch: str, number: int) -> str:
    """Where an adapter lies in the artifact store."""
    return f"models/lora/{branch}/{number}"


def base_model_prefix(name: str) -> str:
    """`baseModels/tiny/revisions/abc` lies at `models/base/tiny/abc`."""
    _, model, _, revision = name.split("/")
    return f"models/base/{model}/{revision}"
