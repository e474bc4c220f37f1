"""The trainer's part in the life of a job: inputs in, adapter out, metrics kept."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy.engine import Connection

from fragua_platform.artifacts.bundle import fetch_bundle, find_bundle, publish_bundle
from fragua_platform.artifacts.manifest import Bundle
from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.database import Database
from fragua_platform.jobs.engine import JobDirectory
from fragua_platform.jobs.job import Job
from fragua_trainer.application import ModelRegistry
from fragua_trainer.domain.registry import Adapter, Metric, adapter_prefix
from fragua_trainer.domain.training_order import ResolvedOrder
from fragua_trainer.domain.training_spec import SESSION_FILE, SMALLER_AFTER


class MetricsJournal(Protocol):
    def add_metrics(self, connection: Connection, training_job: str, metrics: list[Metric]) -> None: ...


class LogBook(Protocol):
    def add(self, connection: Connection, training_job: str, attempt: int, lines: Sequence[str]) -> None: ...


class Runs(Protocol):
    """Where runs are shown beside our own tables. Never waits, never fails."""

    def measured(self, job: Job, step: int, metrics: Mapping[str, float]) -> None: ...


class TrainingWork:
    """Implements `JobKind` and `LogKeeper` of `fragua_platform.jobs.kind`."""

    engine = "fragua_trainer.training"

    def __init__(
        self,
        database: Database,
        store: ArtifactStore,
        registry: ModelRegistry,
        journal: MetricsJournal,
        log_book: LogBook,
        runs: Runs | None = None,
    ) -> None:
        self._database = database
        self._store = store
        self._registry = registry
        self._journal = journal
        self._log_book = log_book
        self._runs = runs

    async def prepare(self, job: Job, directory: JobDirectory) -> None:
        order = ResolvedOrder.model_validate(job.spec)
        await fetch_inputs(self._store, order, directory.inputs)
        provenance = {
            "training_job": job.name,
            "dataset_version": order.order.dataset_version,
            "dataset_manifest_sha256": order.dataset_manifest_sha256,
            "base_model": order.order.base_model,
            "base_manifest_sha256": order.base_manifest_sha256,
        }
        if order.order.preset:
            provenance["preset"] = order.order.preset
        if order.warm_start_prefix:
            provenance["warm_start_manifest_sha256"] = order.warm_start_manifest_sha256
        spec = order.order.spec
        if spec.retry_smaller and await self._database.run(lambda c: self._registry.was_killed(c, job.name)):
            spec = spec.smaller()
            provenance[SMALLER_AFTER] = "a former attempt was killed, most likely for lack of memory"
        spec = spec.model_copy(update={"provenance": provenance})
        (directory.root / "spec.json").write_text(spec.model_dump_json(indent=1), "utf-8")

    async def publish(self, job: Job, directory: JobDirectory) -> Mapping[str, Any]:
        adapter = await self._adapter_of(job)
        provenance = {"training_job": job.name, "attempt": str(job.attempt)}
        bundle = await publish_bundle(
            self._store, adapter_prefix(adapter.branch, adapter.number), directory.outputs, provenance
        )
        return await self._result(bundle)

    async def find_published(self, job: Job) -> Mapping[str, Any] | None:
        adapter = await self._adapter_of(job)
        bundle = await find_bundle(self._store, adapter_prefix(adapter.branch, adapter.number))
        return await self._result(bundle) if bundle else None

    async def salvage(self, job: Job, directory: JobDirectory) -> Mapping[str, Any]:
        session = directory.root / SESSION_FILE
        return {"session": json.loads(session.read_bytes())} if session.is_file() else {}

    async def _result(self, bundle: Bundle) -> Mapping[str, Any]:
        """What the published files say of themselves."""
        ref = bundle.manifest.file("training_info.json").ref
        info = json.loads(await self._store.get_bytes(ref.key, sha256=ref.sha256))
        return {
            "bundle": bundle.model_dump(mode="json"),
            "trainable_parameters": info["trainable_parameters"],
            "final_loss": info["adapter_loss"],
            "validation_loss": info["adapter_validation_loss"],
            "notices": info["notices"],
            "session": {key: info[key] for key in ("hardware", "repository_commit")},
        }

    async def _adapter_of(self, job: Job) -> Adapter:
        return await self._database.run(lambda connection: self._registry.adapter_of(connection, job.name))

    def record_metrics(self, connection: Connection, job: Job, step: int, metrics: Mapping[str, float]) -> None:
        now = datetime.now(UTC)
        rows = [Metric(job.attempt, step, name, value, now) for name, value in metrics.items()]
        self._journal.add_metrics(connection, job.name, rows)
        if self._runs is not None:
            self._runs.measured(job, step, metrics)

    def record_log(self, connection: Connection, job: Job, lines: Sequence[str]) -> None:
        self._log_book.add(connection, job.name, job.attempt, lines)


async def fetch_inputs(store: ArtifactStore, order: ResolvedOrder, inputs: Path) -> None:
    """Everything that the engine reads, as `order` pinned it."""
    await fetch_bundle(store, order.base_prefix, inputs / "base", manifest_sha256=order.base_manifest_sha256)
    await fetch_bundle(store, order.dataset_prefix, inputs / "dataset", manifest_sha256=order.dataset_manifest_sha256)
    if order.warm_start_prefix:
        await fetch_bundle(
            store, order.warm_start_prefix, inputs / "adapter", manifest_sha256=order.warm_start_manifest_sha256
        )
