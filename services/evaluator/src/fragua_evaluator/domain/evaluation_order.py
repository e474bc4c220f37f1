"""What a client orders, and the same with everything it refers to pinned by digest."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from fragua_evaluator.domain.evaluation_spec import EvaluationSpec


class EvaluationOrder(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    adapter: str
    """`branches/{branch}/adapters/{adapter}`"""
    dataset_version: str
    """Whose held-out split asks the questions; empty means the one that the adapter was trained on."""
    spec: EvaluationSpec


class ResolvedOrder(BaseModel):
    """The order as the job keeps it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    order: EvaluationOrder
    dataset_version: str
    dataset_prefix: str
    dataset_manifest_sha256: str
    adapter_prefix: str
    adapter_manifest_sha256: str
    base_model: str
    base_prefix: str
    base_manifest_sha256: str


def evaluation_prefix(name: str) -> str:
    """`branches/b/evaluations/e` lies at `evaluations/b/e`."""
    _, branch, _, evaluation = name.split("/")
    return f"evaluations/{branch}/{evaluation}"
