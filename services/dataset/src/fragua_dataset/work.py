"""The dataset service's part in the life of a job: rows in, a version or a report of its problems out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy.engine import Connection

from fragua_dataset.application.versions import VersionRecords
from fragua_dataset.domain.counterparts import comparison_for
from fragua_dataset.domain.dataset import ROW_FILES, rejected_prefix, version_prefix
from fragua_dataset.domain.samples import SAMPLES_FILE, VersionSamples
from fragua_dataset.domain.version import Findings, require_files
from fragua_dataset.domain.version_order import TokenizerSource, VersionOrder
from fragua_dataset.domain.version_report import VersionReport
from fragua_dataset.domain.version_spec import Counterpart, Uncompared
from fragua_platform.artifacts.bundle import find_bundle, load_bundle, publish_bundle
from fragua_platform.artifacts.manifest import Bundle
from fragua_platform.artifacts.store import ArtifactRef, ArtifactStore
from fragua_platform.database import Database
from fragua_platform.errors import Corrupted, NotFound
from fragua_platform.jobs.engine import JobDirectory
from fragua_platform.jobs.job import Job

log = structlog.get_logger()

_TOO_MUCH = "the branch holds more than one import is compared with"
_RAISE = "archive datasets that are not used, or raise FRAGUA_MAX_COUNTERPARTS and FRAGUA_MAX_COUNTERPART_BYTES"
_DAMAGED = "its files in the artifact store are damaged or gone"
_ARCHIVE = "see what is left of it with VerifyDatasetVersion; restore its files or archive it"
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")


class VersionWork:
    """Implements `fragua_platform.jobs.kind.JobKind`."""

    engine = "fragua_dataset.ingestion"

    def __init__(
        self,
        database: Database,
        records: VersionRecords,
        store: ArtifactStore,
        max_counterparts: int,
        max_counterpart_bytes: int,
    ) -> None:
        self._database = database
        self._records = records
        self._store = store
        self._max_counterparts = max_counterparts
        self._max_counterpart_bytes = max_counterpart_bytes

    async def prepare(self, job: Job, directory: JobDirectory) -> None:
        order, inputs = VersionOrder.model_validate(job.spec), directory.inputs
        if order.source:
            source = ArtifactRef(order.source.key, order.source.size, order.source.sha256)
            await self._store.get_file(source, inputs / "source")
        for number, parent in enumerate(order.rows_of):
            await self._fetch_rows(parent.prefix, parent.manifest_sha256, inputs / "parents" / str(number))
        for tokenizer in order.tokenizers:
            await self._fetch_tokenizer(tokenizer, inputs / "tokenizers" / tokenizer.name)
        compared = await self._fetch_counterparts(job.branch, order, inputs / "counterparts")
        spec = order.spec.model_copy(update=compared)
        (directory.root / "spec.json").write_text(spec.model_dump_json(indent=1), "utf-8")

    async def _fetch_rows(self, prefix: str, manifest_sha256: str, folder: Path) -> None:
        bundle = await load_bundle(self._store, prefix, manifest_sha256=manifest_sha256)
        for name in ROW_FILES:
            await self._store.get_file(bundle.manifest.file(name).ref, folder / name)

    async def _fetch_tokenizer(self, tokenizer: TokenizerSource, folder: Path) -> None:
        bundle = await load_bundle(self._store, tokenizer.prefix, manifest_sha256=tokenizer.manifest_sha256)
        for file in bundle.manifest.files:
            if file.name in _TOKENIZER_FILES:
                await self._store.get_file(file.ref, folder / file.name)

    async def _fetch_counterparts(self, branch: str, order: VersionOrder, folder: Path) -> dict[str, Any]:
        """The fields of the specification that say what the rows are compared with, and what they should be."""
        usable = await self._database.run(lambda connection: self._records.latest_usable(connection, branch))
        comparison = comparison_for(order, usable, most=self._max_counterparts, most_bytes=self._max_counterpart_bytes)
        uncompared = [
            Uncompared(version=version.name, why=_TOO_MUCH, way_out=_RAISE) for version in comparison.left_out
        ]
        counterparts = []
        for number, version in enumerate(comparison.counterparts):
            bundle = require_files(version)
            name = f"c{number}"
            try:
                await self._fetch_rows(bundle.prefix, bundle.manifest_sha256, folder / name)
            except (Corrupted, NotFound) as damaged:
                # One damaged version must not close the branch to every other import.
                log.error("counterpart_damaged", counterpart=version.name, cause=str(damaged))
                uncompared.append(Uncompared(version=version.name, why=_DAMAGED, way_out=_ARCHIVE))
            else:
                counterparts.append(Counterpart(folder=name, version=version.name, evaluation=version.evaluation))
        return {"counterparts": tuple(counterparts), "uncompared": tuple(uncompared)}

    async def publish(self, job: Job, directory: JobDirectory) -> Mapping[str, Any]:
        provenance = provenance_of(job)
        bundle = await publish_bundle(self._store, version_prefix(job.name), directory.outputs, provenance)
        return await self._made(job, bundle)

    async def salvage(self, job: Job, directory: JobDirectory) -> Mapping[str, Any]:
        if not (directory.outputs / "report.json").exists():
            return {}
        return await self._result(await publish_bundle(self._store, rejected_prefix(job.name), directory.outputs))

    async def find_published(self, job: Job) -> Mapping[str, Any] | None:
        bundle = await find_bundle(self._store, version_prefix(job.name))
        return await self._made(job, bundle) if bundle else None

    async def _made(self, job: Job, bundle: Bundle) -> Mapping[str, Any]:
        """The result of a job that made a version; its samples are known before anybody hears of it."""
        # Not there where a worker of the release before published, and died before it could tell.
        if any(file.name == SAMPLES_FILE for file in bundle.manifest.files):
            file = bundle.manifest.file(SAMPLES_FILE)
            samples = VersionSamples.model_validate_json(await self._store.get_bytes(file.key, sha256=file.sha256))
            await self._database.run(lambda connection: self._records.keep_samples(connection, job.name, samples))
        return await self._result(bundle)

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
    if order.parents:
        provenance["parents"] = " ".join(order.parents)
    for rows in order.rows_of:
        provenance[f"manifest_sha256 of {rows.version}"] = rows.manifest_sha256
    return provenance
