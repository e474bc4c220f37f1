"""What a client orders: the references of a training job together with the engine's specification."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from fragua_trainer.domain.training_spec import TrainingSpec


class TrainingOrder(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset_version: str
    base_model: str
    spec: TrainingSpec
    preset: str = ""
    """The preset that `spec` was made from, if any."""
    evaluate_after: bool = False


class ResolvedOrder(BaseModel):
    """The order with everything it refers to pinned by digest; kept as the job's spec."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    order: TrainingOrder
    dataset_prefix: str
    dataset_manifest_sha256: str
    base_prefix: str
    base_manifest_sha256: str
    warm_start_prefix: str = ""
    """Where the adapter to train on from lies; empty when a new one is trained."""
    warm_start_manifest_sha256: str = ""
    notices: tuple[str, ...] = ()
    """What the client has to know of it before the run has begun."""
