"""The dataset service's part in the life of a job: rows in, a version or a report of its problems out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Connection

from fragua_dataset.domain.dataset import rejected_prefix, version_prefix
from fragua_dataset.domain.version import Findings
from fragua_dataset.domain.version_order import VersionOrder
from fragua_dataset.domain.version_report import VersionReport
from fragua_platform.artifacts.bundle import fetch_bundle, find_bundle, publish_bundle
from fragua_platform.artifacts.manifest import Bundle
from fragua_platform.artifacts.store import ArtifactRef, ArtifactStore
from fragua_platform.jobs.engine import JobDirectory
from fragua_platform.jobs.job import Job


class VersionWork:
    """Implements `fragua_platform.jobs.kind.JobKind`."""

    engine = "fragua_dataset.ingestion"

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store

    async def prepare(self, job: Job, directory: JobDirectory) -> None:
        order = VersionOrder.model_validate(job.spec)
        if order.source:
            source = ArtifactRef(order.source.key, order.source.size, order.source.sha256)
            await self._store.get_file(source, directory.inputs / "source")
        for number, parent in enumerate(order.rows_of):
            folder = directory.inputs / "parents" / str(number)
            await fetch_bundle(self._store, parent.prefix, folder, manifest_sha256=parent.manifest_sha256)
        (directory.root / "spec.json").write_text(order.spec.model_dump_json(indent=1), "utf-8")

    async def publish(self, job: Job, directory: JobDirectory) -> Mapping[str, Any]:
        provenance = provenance_of(job)
        bundle = await publish_bundle(self._store, version_prefix(job.name), directory.outputs, provenance)
        return await self._result(bundle)

    async def salvage(self, job: Job, directory: JobDirectory) -> Mapping[str, Any]:
        if not (directory.outputs / "report.json").exists():
            return {}
        return await self._result(await publish_bundle(self._store, rejected_prefix(job.name), directory.outputs))

    async def find_published(self, job: Job) -> Mapping[str, Any] | None:
        bundle = await find_bundle(self._store, version_prefix(job.name))
        return await self._result(bundle) if bundle else None

    async def _result(self, bundle: Bundle) -> Mapping[str, Any]:
        file = bundle.manifest.file("report.json")
        report = VersionReport.model_validate_json(await self._store.get_bytes(file.key, sha256=file.sha256))
        findings = Findings(
            rows=report.rows,
            train_rows=report.train_rows,
            validation_rows=report.validation_rows,
            problem_counts={code.value: count for code, count in report.problem_counts.items()},
            truncation=tuple(report.truncation),
            fixes=report.fixes,
            selection=report.selection,
        )
        return {"bundle": bundle.model_dump(mode="json")} | findings.model_dump(mode="json")

    def record_metrics(self, connection: Connection, job: Job, step: int, metrics: Mapping[str, float]) -> None:
        """Versions measure nothing but their progress."""


def provenance_of(job: Job) -> dict[str, str]:
    """What the manifest of a version says of where it came from."""
    order = VersionOrder.model_validate(job.spec)
    provenance = {"dataset_version": job.name, "origin": order.origin.value}
    if order.source:
        provenance["source_sha256"] = order.source.sha256
    for number, parent in enumerate(order.rows_of):
        provenance[f"parent_{number}"] = parent.version
        provenance[f"parent_{number}_manifest_sha256"] = parent.manifest_sha256
    return provenance
