"""The dataset service's part in the life of a job: a file in, a version or a report of its problems out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Connection

from fragua.common.v1 import artifact_pb2
from fragua.dataset.v1 import dataset_events_pb2
from fragua_dataset.domain.dataset import Findings, ImportOrder, rejected_prefix, version_prefix
from fragua_dataset.domain.version_report import VersionReport
from fragua_platform.artifacts.bundle import find_bundle, publish_bundle
from fragua_platform.artifacts.manifest import Bundle
from fragua_platform.artifacts.store import ArtifactRef, ArtifactStore
from fragua_platform.events.cloudevents import CloudEvent, new_event
from fragua_platform.jobs.engine import JobDirectory
from fragua_platform.jobs.job import Job, JobState
from fragua_platform.messages import bundle_to_message


class ImportWork:
    """Implements `fragua_platform.jobs.kind.JobKind`."""

    engine = "fragua_dataset.ingestion"

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store

    async def prepare(self, job: Job, directory: JobDirectory) -> None:
        order = ImportOrder.model_validate(job.spec)
        source = ArtifactRef(order.source_key, order.source_size, order.source_sha256)
        await self._store.get_file(source, directory.inputs / "source")
        (directory.root / "spec.json").write_text(order.spec.model_dump_json(indent=1), "utf-8")

    async def publish(self, job: Job, directory: JobDirectory) -> Mapping[str, Any]:
        order = ImportOrder.model_validate(job.spec)
        provenance = {"dataset_version": job.name, "source_sha256": order.source_sha256}
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
        return {
            "bundle": bundle.model_dump(mode="json"),
            "rows": report.rows,
            "train_rows": report.train_rows,
            "validation_rows": report.validation_rows,
            "problem_counts": {code.value: count for code, count in report.problem_counts.items()},
        }

    def record_metrics(self, connection: Connection, job: Job, step: int, metrics: Mapping[str, float]) -> None:
        """Imports measure nothing but their progress."""


def findings_of(job: Job) -> Findings:
    counted = {name: value for name, value in job.result.items() if name != "bundle"}
    return Findings(**counted)


def bundle_of(job: Job) -> Bundle | None:
    """The published version; None unless READY."""
    return Bundle.model_validate(job.result["bundle"]) if job.state is JobState.SUCCEEDED else None


def tell_outcome(_connection: Connection, job: Job) -> Sequence[CloudEvent]:
    """The job store's `on_change`: a version that became READY or INVALID says so in its own words."""
    findings, bundle = findings_of(job), bundle_of(job)
    message: dataset_events_pb2.DatasetVersionReady | dataset_events_pb2.DatasetVersionInvalid
    if job.state is JobState.SUCCEEDED:
        name = "ready"
        message = dataset_events_pb2.DatasetVersionReady(
            dataset_version=job.name,
            branch=job.branch,
            train_row_count=findings.train_rows,
            validation_row_count=findings.validation_rows,
            bundle=bundle_to_message(bundle) if bundle else artifact_pb2.Bundle(),
        )
    elif job.state.terminal:
        name = "invalid"
        message = dataset_events_pb2.DatasetVersionInvalid(
            dataset_version=job.name, branch=job.branch, count_by_code=findings.problem_counts
        )
    else:
        return []
    return [new_event(job.branch, "dataset", "version", name, message, traceparent=job.traceparent)]
