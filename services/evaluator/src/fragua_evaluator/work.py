"""The evaluator's part in the life of a job: models and questions in, reports out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Connection

from fragua_evaluator.domain.evaluation_order import BundleToFetch, ResolvedOrder, evaluation_prefix
from fragua_evaluator.domain.report import EvaluationReport
from fragua_evaluator.domain.votes import report_digest
from fragua_platform.artifacts.bundle import fetch_bundle, find_bundle, load_bundle, publish_bundle
from fragua_platform.artifacts.manifest import Bundle
from fragua_platform.artifacts.store import ArtifactRef, ArtifactStore
from fragua_platform.jobs.engine import JobDirectory
from fragua_platform.jobs.job import Job, JobState


class EvaluationWork:
    """Implements `fragua_platform.jobs.kind.JobKind`."""

    engine = "fragua_evaluator.scoring"

    def __init__(self, store: ArtifactStore, response_cache: Path | None, response_cache_mib: int) -> None:
        """Without `response_cache`, no answers are kept for later evaluations."""
        self._store = store
        self._response_cache = response_cache
        self._response_cache_mib = response_cache_mib

    async def prepare(self, job: Job, directory: JobDirectory) -> None:
        resolved = ResolvedOrder.model_validate(job.spec)
        for bundle in resolved.bundles:
            await self._fetch(bundle, directory.inputs)
        for object_ in resolved.objects:
            ref = ArtifactRef(object_.key, object_.size, object_.sha256)
            await self._store.get_file(ref, directory.inputs / object_.path)
        changes: dict[str, Any] = {"evaluation": job.name}
        if self._response_cache is not None:
            changes |= {
                "response_cache": str(self._response_cache.absolute()),
                "response_cache_mib": self._response_cache_mib,
            }
        spec = resolved.spec.model_copy(update=changes)
        (directory.root / "spec.json").write_text(spec.model_dump_json(indent=1), "utf-8")

    async def _fetch(self, wanted: BundleToFetch, inputs: Path) -> None:
        folder = inputs / wanted.folder
        if not wanted.files:
            await fetch_bundle(self._store, wanted.prefix, folder, manifest_sha256=wanted.manifest_sha256)
            return
        bundle = await load_bundle(self._store, wanted.prefix, manifest_sha256=wanted.manifest_sha256)
        for name in wanted.files:
            await self._store.get_file(bundle.manifest.file(name).ref, folder / name)

    async def publish(self, job: Job, directory: JobDirectory) -> Mapping[str, Any]:
        provenance = {"evaluation": job.name, "attempt": str(job.attempt)}
        bundle = await publish_bundle(self._store, evaluation_prefix(job.name), directory.outputs, provenance)
        return await self._result(bundle)

    async def salvage(self, job: Job, directory: JobDirectory) -> Mapping[str, Any]:
        return {}

    async def find_published(self, job: Job) -> Mapping[str, Any] | None:
        bundle = await find_bundle(self._store, evaluation_prefix(job.name))
        return await self._result(bundle) if bundle else None

    async def _result(self, bundle: Bundle) -> Mapping[str, Any]:
        file = bundle.manifest.file("report.json")
        report = EvaluationReport.model_validate_json(await self._store.get_bytes(file.key, sha256=file.sha256))
        return {
            "bundle": bundle.model_dump(mode="json"),
            "report_digest": report_digest(report),
            # The job has its specification already, with all cases of its suites.
            "report": report.model_copy(update={"spec": {}}).model_dump(mode="json"),
        }

    def record_metrics(self, connection: Connection, job: Job, step: int, metrics: Mapping[str, float]) -> None:
        """Everything that an evaluation measures is in its report."""


def report_of(job: Job) -> EvaluationReport:
    """Of an evaluation that SUCCEEDED, without its specification."""
    return EvaluationReport.model_validate(job.result["report"])


def bundle_of(job: Job) -> Bundle | None:
    """The published reports; None unless the evaluation succeeded."""
    return Bundle.model_validate(job.result["bundle"]) if job.state is JobState.SUCCEEDED else None
