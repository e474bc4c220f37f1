"""The dataset service's part in the life of a conversion: a version's rows in, files for other programs out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Connection

from fragua_dataset.domain.conversion import ConversionOrder, conversion_prefix
from fragua_dataset.domain.dataset import ROW_FILES
from fragua_platform.artifacts.bundle import find_bundle, load_bundle, publish_bundle
from fragua_platform.artifacts.manifest import Bundle
from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.jobs.engine import JobDirectory
from fragua_platform.jobs.job import Job


class ConversionWork:
    """Implements `fragua_platform.jobs.kind.JobKind`."""

    engine = "fragua_dataset.conversion"

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store

    async def prepare(self, job: Job, directory: JobDirectory) -> None:
        order = ConversionOrder.model_validate(job.spec)
        version = await load_bundle(self._store, order.prefix, manifest_sha256=order.manifest_sha256)
        for name in ROW_FILES:
            await self._store.get_file(version.manifest.file(name).ref, directory.inputs / name)
        (directory.root / "spec.json").write_text(order.spec.model_dump_json(indent=1), "utf-8")

    async def publish(self, job: Job, directory: JobDirectory) -> Mapping[str, Any]:
        order = ConversionOrder.model_validate(job.spec)
        provenance = {
            "dataset_version": order.spec.version,
            "dataset_manifest_sha256": order.manifest_sha256,
            "format": order.spec.format.value,
        }
        return _result(await publish_bundle(self._store, conversion_prefix(job.name), directory.outputs, provenance))

    async def salvage(self, job: Job, directory: JobDirectory) -> Mapping[str, Any]:
        return {}

    async def find_published(self, job: Job) -> Mapping[str, Any] | None:
        bundle = await find_bundle(self._store, conversion_prefix(job.name))
        return _result(bundle) if bundle else None

    def record_metrics(self, connection: Connection, job: Job, step: int, metrics: Mapping[str, float]) -> None:
        """Conversions measure nothing but their progress."""


def _result(bundle: Bundle) -> Mapping[str, Any]:
    return {"bundle": bundle.model_dump(mode="json")}
