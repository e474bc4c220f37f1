"""What a client orders, and the same with everything it refers to pinned by digest."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from fragua_exporter.domain.export_spec import ExportSpec


class ExportOrder(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    adapter: str
    """`branches/{branch}/adapters/{adapter}`"""
    spec: ExportSpec


class ResolvedOrder(BaseModel):
    """The order as the job keeps it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    order: ExportOrder
    adapter_prefix: str
    adapter_manifest_sha256: str
    base_model: str
    base_prefix: str
    base_manifest_sha256: str


def export_prefix(name: str) -> str:
    """`branches/b/exports/e` lies at `models/gguf/b/e`."""
    _, branch, _, export = name.split("/")
    return f"models/gguf/{branch}/{export}"
