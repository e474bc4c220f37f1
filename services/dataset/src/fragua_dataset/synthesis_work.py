"""The dataset service's part in the life of a synthesis: permissions, key and models in; then as of any version."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Connection

from fragua_dataset.domain.dataset import rejected_prefix
from fragua_dataset.domain.synthesis_order import SynthesisOrder, SynthesisPermissions
from fragua_dataset.domain.synthesis_spec import SynthesisJobSpec
from fragua_dataset.domain.version_order import VersionOrder
from fragua_dataset.domain.version_spec import VersionSpec
from fragua_dataset.work import VersionWork
from fragua_platform.artifacts.bundle import fetch_bundle, publish_bundle
from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.errors import InternalError, InvalidInput
from fragua_platform.jobs.engine import JobDirectory
from fragua_platform.jobs.job import Job


class SynthesisWork:
    """Implements `fragua_platform.jobs.kind.JobKind`."""

    engine = "fragua_dataset.synthesis"

    def __init__(
        self, versions: VersionWork, store: ArtifactStore, permissions: SynthesisPermissions, keys: Mapping[str, str]
    ) -> None:
        """`keys` are this process's environment variables."""
        self._versions = versions
        self._store = store
        self._permissions = permissions
        self._keys = keys

    async def prepare(self, job: Job, directory: JobDirectory) -> None:
        order = _synthesis_of(job)
        self._require_permission(order)
        await self._versions.prepare(job, directory)
        for model in order.models:
            folder = directory.inputs / model.folder
            await fetch_bundle(self._store, model.prefix, folder, manifest_sha256=model.manifest_sha256)
        if order.key_variable:
            self._hand_over_key(order.key_variable, directory)
        path = directory.root / "spec.json"
        spec = SynthesisJobSpec(synthesis=order.spec, version=VersionSpec.model_validate_json(path.read_text("utf-8")))
        path.write_text(spec.model_dump_json(indent=1), "utf-8")

    def _require_permission(self, order: SynthesisOrder) -> None:
        """Once more: what is allowed may have changed since, and may differ from worker to worker."""
        if problems := self._permissions.problems(order.spec.generator, order.spec.metric):
            listed = "; ".join(f"{problem.field} {problem.description}" for problem in problems)
            raise InvalidInput(f"this worker may not do that: {listed}", violations=problems, reason="NOT_ALLOWED")

    def _hand_over_key(self, variable: str, directory: JobDirectory) -> None:
        """In a file that the engine deletes when it has read it: engines inherit none of our variables."""
        if not (key := self._keys.get(variable)):
            raise InvalidInput(f"the variable {variable} is not set on the worker", reason="KEY_MISSING")
        path = directory.inputs / "key"
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(key)

    async def publish(self, job: Job, directory: JobDirectory) -> Mapping[str, Any]:
        return await self._versions.publish(job, directory)

    async def salvage(self, job: Job, directory: JobDirectory) -> Mapping[str, Any]:
        """Also where no row was checked: the examples so far, and what became of everything that was asked."""
        if found := await self._versions.salvage(job, directory):
            return found
        if not any(directory.outputs.glob("*.json*")):
            return {}
        bundle = await publish_bundle(self._store, rejected_prefix(job.name), directory.outputs)
        return {"bundle": bundle.model_dump(mode="json")}

    async def find_published(self, job: Job) -> Mapping[str, Any] | None:
        return await self._versions.find_published(job)

    def record_metrics(self, connection: Connection, job: Job, step: int, metrics: Mapping[str, float]) -> None:
        """What a synthesis measures is in its report."""


def _synthesis_of(job: Job) -> SynthesisOrder:
    order = VersionOrder.model_validate(job.spec)
    if order.synthesis is None:
        raise InternalError(f"{job.name} is queued as a synthesis, and its order is of none")
    return order.synthesis
