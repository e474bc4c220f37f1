"""What a client orders, and the same with everything it refers to pinned by digest."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from fragua_exporter.domain.export_spec import ExportSpec
from fragua_exporter.domain.history import History, Ingredient, Score


class ExportOrder(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    adapter: str
    """`branches/{branch}/adapters/{adapter}`"""
    importance_dataset: str = ""
    """The version whose rows tell which weights matter most; its training side is `inputs/importance/`."""
    task_dataset: str = ""
    """The version whose held-out rows every file answers: `inputs/task/`."""
    spec: ExportSpec


class PinnedVersion(BaseModel):
    """A dataset version as it was when the export was ordered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    prefix: str
    manifest_sha256: str


class ResolvedOrder(BaseModel):
    """The order as the job keeps it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    order: ExportOrder
    adapter_prefix: str
    adapter_manifest_sha256: str
    base_model: str
    base_prefix: str
    base_manifest_sha256: str
    base_source: str = ""
    base_warnings: tuple[str, ...] = ()
    importance: PinnedVersion | None = None
    task: PinnedVersion | None = None
    scores: tuple[Score, ...] = ()
    """What evaluations had said of the adapter by then."""

    def history(self, export: str) -> History:
        """What the papers of the export may tell."""
        datasets = (("importance dataset", self.importance), ("task dataset", self.task))
        return History(
            export=export,
            ingredients=(
                Ingredient(
                    role="base model",
                    name=self.base_model,
                    manifest_sha256=self.base_manifest_sha256,
                    source=self.base_source,
                ),
                Ingredient(role="adapter", name=self.order.adapter, manifest_sha256=self.adapter_manifest_sha256),
                *(
                    Ingredient(role=role, name=pinned.name, manifest_sha256=pinned.manifest_sha256)
                    for role, pinned in datasets
                    if pinned
                ),
            ),
            scores=self.scores,
            warnings=self.base_warnings,
        )


def export_prefix(name: str) -> str:
    """`branches/b/exports/e` lies at `models/gguf/b/e`."""
    _, branch, _, export = name.split("/")
    return f"models/gguf/{branch}/{export}"
