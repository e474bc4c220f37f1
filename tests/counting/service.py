"""The counting service, wired like every other one, with the same runtime."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy.engine import Connection

from fragua_platform.artifacts.bundle import find_bundle, publish_bundle
from fragua_platform.artifacts.manifest import Bundle
from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.jobs.engine import JobDirectory
from fragua_platform.jobs.job import Job
from fragua_platform.runtime import Resources, Service, ServiceDefinition
from fragua_platform.settings import PlatformSettings
from tests.jobs import SERVICE, measurements, metadata, new_store


class CountingSettings(PlatformSettings):
    service_name: ClassVar[str] = SERVICE


class CountingWork:
    engine = "tests.counting.engine"

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store

    async def prepare(self, job: Job, directory: JobDirectory) -> None:
        (directory.root / "spec.json").write_text(json.dumps(job.spec), "utf-8")

    async def publish(self, job: Job, directory: JobDirectory) -> Mapping[str, Any]:
        bundle = await publish_bundle(self._store, prefix_of(job), directory.outputs, {"attempt": str(job.attempt)})
        return await self._result(bundle)

    async def salvage(self, job: Job, directory: JobDirectory) -> Mapping[str, Any]:
        return {"left": sorted(path.name for path in directory.root.iterdir())}

    async def find_published(self, job: Job) -> Mapping[str, Any] | None:
        bundle = await find_bundle(self._store, prefix_of(job))
        return await self._result(bundle) if bundle else None

    def record_metrics(self, connection: Connection, job: Job, step: int, metrics: Mapping[str, float]) -> None:
        row = {"job": job.name, "attempt": job.attempt, "step": step}
        connection.execute(measurements.delete().filter_by(**row))
        connection.execute(measurements.insert().values(**row, value=metrics["value"]))

    async def _result(self, bundle: Bundle) -> Mapping[str, Any]:
        file = bundle.manifest.file("count.json")
        return json.loads(await self._store.get_bytes(file.key, sha256=file.sha256))


def prefix_of(job: Job) -> str:
    return f"counts/{job.id}"


def build(settings: CountingSettings, resources: Resources) -> Service:
    jobs = new_store(settings.branch_limits)
    return Service(name=SERVICE, api=[], jobs=jobs, kinds={"count": CountingWork(resources.artifacts)})


DEFINITION = ServiceDefinition(CountingSettings, metadata, Path(__file__).parent / "migrations", build)
