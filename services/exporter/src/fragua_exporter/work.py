"""The exporter's part in the life of a job: base and adapter in, verified GGUF files and a Modelfile out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Connection

from fragua_exporter.domain.export_order import ResolvedOrder, export_prefix
from fragua_exporter.domain.exported_file import REUSED, ExportedFile
from fragua_platform.artifacts.bundle import MANIFEST, fetch_bundle, find_bundle, publish_bundle
from fragua_platform.artifacts.manifest import Bundle, ManifestFile
from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.errors import Corrupted, FailureClass, InternalError, NotFound, Unavailable
from fragua_platform.jobs.engine import JobDirectory
from fragua_platform.jobs.job import Job, JobState


class ExportWork:
    """Implements `fragua_platform.jobs.kind.JobKind`."""

    engine = "fragua_exporter.conversion"

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store

    async def prepare(self, job: Job, directory: JobDirectory) -> None:
        order = ResolvedOrder.model_validate(job.spec)
        await fetch_bundle(
            self._store, order.base_prefix, directory.inputs / "base", manifest_sha256=order.base_manifest_sha256
        )
        await fetch_bundle(
            self._store,
            order.adapter_prefix,
            directory.inputs / "adapter",
            manifest_sha256=order.adapter_manifest_sha256,
        )
        provenance = {
            "export": job.name,
            "adapter": order.order.adapter,
            "adapter_manifest_sha256": order.adapter_manifest_sha256,
            "base_model": order.base_model,
            "base_manifest_sha256": order.base_manifest_sha256,
        }
        for role, pinned in (("importance", order.importance), ("task", order.task)):
            if pinned:
                await fetch_bundle(
                    self._store, pinned.prefix, directory.inputs / role, manifest_sha256=pinned.manifest_sha256
                )
                provenance |= {
                    f"{role}_dataset": pinned.name,
                    f"{role}_dataset_manifest_sha256": pinned.manifest_sha256,
                }
        history = order.history(job.name).model_dump_json(indent=1)
        (directory.inputs / "history.json").write_text(history, "utf-8")
        spec = order.order.spec.model_copy(update={"provenance": provenance})
        (directory.root / "spec.json").write_text(spec.model_dump_json(indent=1), "utf-8")

    async def publish(self, job: Job, directory: JobDirectory) -> Mapping[str, Any]:
        provenance = {"export": job.name, "attempt": str(job.attempt)}
        # In the manifest, so that it is told even where this worker dies before it can tell anything.
        if reused := _read_reused(directory):
            provenance["reused"] = json.dumps(reused)
        bundle = await publish_bundle(self._store, export_prefix(job.name), directory.outputs, provenance)
        return await self._result(bundle)

    async def salvage(self, job: Job, directory: JobDirectory) -> Mapping[str, Any]:
        return {}

    async def find_published(self, job: Job) -> Mapping[str, Any] | None:
        bundle = await find_bundle(self._store, export_prefix(job.name))
        return await self._result(bundle) if bundle else None

    async def _result(self, bundle: Bundle) -> Mapping[str, Any]:
        file = bundle.manifest.file("export_info.json")
        info = json.loads(await self._store.get_bytes(file.key, sha256=file.sha256))
        files = [ExportedFile.from_info(entry) for entry in info["files"]]
        await self._read_back(bundle, {each.file: each.sha256 for each in files})
        return {
            "bundle": bundle.model_dump(mode="json"),
            "files": [exported.model_dump(mode="json") for exported in files],
            "reused": json.loads(bundle.manifest.provenance.get("reused", "[]")),
        }

    async def _read_back(self, bundle: Bundle, proven: Mapping[str, str]) -> None:
        """Nothing is called finished whose bytes in the store are not those that were proven."""
        changed = [name for name, sha256 in proven.items() if bundle.manifest.file(name).sha256 != sha256]
        damaged = [] if changed else [file for file in bundle.manifest.files if not await self._arrived(file)]
        if not changed and not damaged:
            return
        # Without its manifest nothing is there.
        await self._store.delete(f"{bundle.prefix}/{MANIFEST}")
        if changed:
            raise InternalError(
                f"{', '.join(changed)} changed on the worker's disk after the proof; nothing was published. Look after that "
                "disk, and export again",
                reason="CHANGED_AFTER_PROOF",
                failure_class=FailureClass.CAPACITY,
            )
        for file in damaged:
            await self._store.delete(file.key)
        raise Unavailable(
            f"{', '.join(file.name for file in damaged)} did not arrive in the artifact store as sent; nothing was "
            "published. Look after the store's disks",
            reason="UPLOAD_DAMAGED",
        )

    async def _arrived(self, file: ManifestFile) -> bool:
        """The store compares the digest while the bytes pass by; none of them are kept."""
        try:
            async for _ in self._store.read(file.ref):
                pass
        except (Corrupted, NotFound):
            return False
        return True

    def record_metrics(self, connection: Connection, job: Job, step: int, metrics: Mapping[str, float]) -> None:
        """What verification measured is kept with each file."""


def bundle_of(job: Job) -> Bundle | None:
    """The published files; None unless the export succeeded."""
    return Bundle.model_validate(job.result["bundle"]) if job.state is JobState.SUCCEEDED else None


def files_of(job: Job) -> list[ExportedFile]:
    """The GGUF files with what was measured on each; empty unless the export succeeded."""
    return [ExportedFile.model_validate(entry) for entry in job.result.get("files", ())]


def reused_of(job: Job) -> list[str]:
    """What the attempt that finished had not to do again; empty unless the export succeeded."""
    return list(job.result.get("reused", ()))


def _read_reused(directory: JobDirectory) -> list[str]:
    try:
        return list(json.loads((directory.root / REUSED).read_text("utf-8")))
    except FileNotFoundError:
        return []
