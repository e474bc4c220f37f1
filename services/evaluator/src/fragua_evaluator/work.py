"""The evaluator's part in the life of a job: base, adapter and held-out rows in, scores out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Connection

from fragua_evaluator.domain.evaluation_order import ResolvedOrder, evaluation_prefix
from fragua_evaluator.domain.evaluation_spec import EvaluationReport
from fragua_platform.artifacts.bundle import fetch_bundle, find_bundle, publish_bundle
from fragua_platform.artifacts.manifest import Bundle
from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.jobs.engine import JobDirectory
from fragua_platform.jobs.job import Job, JobState


class EvaluationWork:
    """Implements `fragua_platform.jobs.kind.JobKind`."""

    engine = "fragua_evaluator.scoring"

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store

    async def prepare(self, job: Job, directory: JobDirectory) -> None:
        order = ResolvedOrder.model_validate(job.spec)
        for name, prefix, digest in (
            ("base", order.base_prefix, order.base_manifest_sha256),
            ("adapter", order.adapter_prefix, order.adapter_manifest_sha256),
            ("dataset", order.dataset_prefix, order.dataset_manifest_sha256),
        ):
            await fetch_bundle(self._store, prefix, directory.inputs / name, manifest_sha256=digest)
        provenance = {
            "evaluation": job.name,
            "adapter": order.order.adapter,
            "adapter_manifest_sha256": order.adapter_manifest_sha256,
            "base_model": order.base_model,
            "base_manifest_sha256": order.base_manifest_sha256,
            "dataset_version": order.dataset_version,
            "dataset_manifest_sha256": order.dataset_manifest_sha256,
        }
        spec = order.order.spec.model_copy(update={"provenance": provenance})
        (directory.root / "spec.json").write_text(spec.model_dump_json(indent=1), "utf-8")

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
        report = json.loads(await self._store.get_bytes(file.key, sha256=file.sha256))
        return {"bundle": bundle.model_dump(mode="json"), "report": report}

    def record_metrics(self, connection: Connection, job: Job, step: int, metrics: Mapping[str, float]) -> None:
        """Everything that an evaluation measures is in its report."""


def report_of(job: Job) -> EvaluationReport:
    return EvaluationReport.model_validate(job.result["report"])


def bundle_of(job: Job) -> Bundle | None:
    """The published report; None unless the evaluation succeeded."""
    return Bundle.model_validate(job.result["bundle"]) if job.state is JobState.SUCCEEDED else None
