"""The dataset service's use cases: keep branches, take in files, tell what was found in them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from sqlalchemy.engine import Connection

from fragua_dataset.domain.dataset import (
    Branch,
    ImportOrder,
    VersionState,
    rejected_prefix,
    version_prefix,
)
from fragua_dataset.domain.version_report import VersionReport
from fragua_dataset.domain.version_spec import VersionSpec
from fragua_dataset.uploads import receive_upload
from fragua_platform.artifacts.bundle import load_bundle
from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.database import Database
from fragua_platform.errors import FailedPrecondition, NotFound
from fragua_platform.jobs.desk import JobDesk
from fragua_platform.jobs.job import Job, JobState
from fragua_platform.jobs.store import JobStore
from fragua_platform.paging import Page, PageRequest

_REPORT_BYTES = 16 * 1024 * 1024


class Branches(Protocol):
    """Each call in the caller's transaction."""

    def create(self, connection: Connection, branch: Branch) -> Branch:
        """Idempotent; `AlreadyExists` when the branch has other content."""
        ...

    def get(self, connection: Connection, branch_id: str) -> Branch: ...

    def list(self, connection: Connection, page: PageRequest) -> Page[Branch]: ...


@dataclass(frozen=True)
class ImportRequest:
    """The header of an upload."""

    dataset: str
    """`branches/{branch}/datasets/{dataset}`"""
    request_id: str
    filename: str
    spec: VersionSpec
    size: int | None = None
    sha256: str = ""

    @property
    def branch(self) -> str:
        return self.dataset.split("/")[1]


class BranchDirectory:
    def __init__(self, database: Database, branches: Branches) -> None:
        self._database = database
        self._branches = branches

    async def create(self, branch_id: str, display_name: str) -> Branch:
        branch = Branch(branch_id, display_name or branch_id, datetime.now(UTC))
        return await self._database.run(lambda connection: self._branches.create(connection, branch))

    async def get(self, branch_id: str) -> Branch:
        return await self._database.run(lambda connection: self._branches.get(connection, branch_id))

    async def list(self, page: PageRequest) -> Page[Branch]:
        return await self._database.run(lambda connection: self._branches.list(connection, page))


class Datasets:
    """Dataset versions: each one is its import job, and READY when that succeeded."""

    def __init__(
        self,
        database: Database,
        jobs: JobStore,
        desk: JobDesk,
        branches: BranchDirectory,
        store: ArtifactStore,
        uploads: Path,
        max_upload_bytes: int,
    ) -> None:
        self._database = database
        self._jobs = jobs
        self._desk = desk
        self._branches = branches
        self._store = store
        self._uploads = uploads
        self._max_upload_bytes = max_upload_bytes

    async def import_file(self, request: ImportRequest, chunks: AsyncIterator[bytes]) -> Job:
        """Take in a file and queue its validation; answers when the bytes are safe in the store."""
        await self._branches.get(request.branch)
        source = await receive_upload(
            chunks,
            self._store,
            prefix=f"uploads/{request.branch}",
            directory=self._uploads,
            limit=self._max_upload_bytes,
            size=request.size,
            sha256=request.sha256,
        )
        order = ImportOrder(
            dataset=request.dataset,
            filename=request.filename,
            source_key=source.key,
            source_size=source.size,
            source_sha256=source.sha256,
            spec=request.spec,
        )

        async def resolve() -> ImportOrder:
            return order

        return await self._desk.submit(
            request.branch,
            order,
            resolve,
            request_id=request.request_id,
            name=lambda: self._free_version_name(request.dataset),
        )

    async def _free_version_name(self, dataset: str) -> str:
        """The time of arrival; a counter breaks ties."""
        stem = f"{dataset}/versions/{datetime.now(UTC):%Y%m%dT%H%M%SZ}"

        def choose(connection: Connection) -> str:
            name, tie = stem, 1
            while self._jobs.exists(connection, name):
                tie += 1
                name = f"{stem}-{tie}"
            return name

        return await self._database.run(choose)

    async def list(self, parent: str, page: PageRequest) -> Page[Job]:
        """Versions of a branch, or of one of its datasets; newest first."""
        branch = parent.split("/")[1]
        await self._branches.get(branch)
        below = "" if re.fullmatch(r"branches/[^/]+", parent) else f"{parent}/versions/"
        return await self._database.run(lambda connection: self._jobs.list(connection, branch, page, below=below))

    async def report(self, version: Job) -> VersionReport:
        """What validation found, row by row."""
        match version_state(version):
            case VersionState.READY:
                prefix = version_prefix(version.name)
            case VersionState.INVALID if version.result:
                prefix = rejected_prefix(version.name)
            case VersionState.INVALID:
                raise NotFound(f"{version.name} has no report: its import did not get as far as reading rows")
            case VersionState.VALIDATING:
                raise FailedPrecondition(f"{version.name} is still VALIDATING; watch it until it is READY or INVALID")
        file = (await load_bundle(self._store, prefix)).manifest.file("report.json")
        content = await self._store.get_bytes(file.key, sha256=file.sha256, limit=_REPORT_BYTES)
        return VersionReport.model_validate_json(content)


def version_state(job: Job) -> VersionState:
    if job.state is JobState.SUCCEEDED:
        return VersionState.READY
    return VersionState.INVALID if job.state.terminal else VersionState.VALIDATING
