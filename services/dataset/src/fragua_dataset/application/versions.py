"""Dataset versions from their order on: queue the job that makes one, follow it, and tell what was found."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from pydantic import BaseModel, ConfigDict
from sqlalchemy.engine import Connection

from fragua_dataset.application.branches import BranchDirectory
from fragua_dataset.domain.dataset import rejected_prefix
from fragua_dataset.domain.problems import Problem, ProblemCode
from fragua_dataset.domain.samples import VersionSamples
from fragua_dataset.domain.version import Review, Signature, Version, VersionState, require_files
from fragua_dataset.domain.version_order import VersionOrder
from fragua_platform.artifacts.bundle import load_bundle
from fragua_platform.artifacts.manifest import Manifest
from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.database import Database
from fragua_platform.errors import FailedPrecondition, NotFound
from fragua_platform.jobs.desk import JobDesk
from fragua_platform.jobs.job import Job
from fragua_platform.jobs.store import JobStore
from fragua_platform.paging import Page, PageRequest

_REPORT_BYTES = 16 * 1024 * 1024


class VersionRecords(Protocol):
    """Each call in the caller's transaction."""

    def get(self, connection: Connection, name: str) -> Version: ...

    def list(self, connection: Connection, parent: str, page: PageRequest) -> Page[Version]:
        """Those of a branch or of one dataset, newest first."""
        ...

    def latest_usable(self, connection: Connection, branch: str) -> Sequence[Version]:
        """Of each dataset of the branch the newest version that is or may become READY; newest first."""
        ...

    def keep_samples(self, connection: Connection, version: str, samples: VersionSamples) -> None:
        """What a version holds of each exercise type, before it is READY; doing it again changes nothing."""
        ...

    def review(self, connection: Connection, before: Version, after: Version, review: Review) -> None:
        """Write a decision and tell of it; `FailedPrecondition` when somebody else was faster."""
        ...

    def add_signature(self, connection: Connection, version: Version, signature: Signature) -> None:
        """The latest signature of a key counts."""
        ...


@dataclass(frozen=True)
class VersionAndJob:
    """A version with the job that makes it, as they were at one moment."""

    version: Version
    job: Job

    @property
    def order(self) -> VersionOrder:
        return VersionOrder.model_validate(self.job.spec)


class ListedProblems(BaseModel):
    """The part of a version's report that lists problems; the rest of it changes more often."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    problems: list[Problem]
    problem_counts: dict[ProblemCode, int]


class Versions:
    def __init__(
        self,
        database: Database,
        jobs: JobStore,
        desk: JobDesk,
        branches: BranchDirectory,
        records: VersionRecords,
        store: ArtifactStore,
    ) -> None:
        self._database = database
        self._jobs = jobs
        self._desk = desk
        self._branches = branches
        self._records = records
        self._store = store

    async def submit(
        self,
        dataset: str,
        asked: BaseModel,
        resolve: Callable[[], Awaitable[VersionOrder]],
        *,
        request_id: str,
        desk: JobDesk | None = None,
    ) -> VersionAndJob:
        """Queue the making of a version of `dataset`; the same request again gives the version that it made.

        `asked` is what tells one request from another, and `resolve` pins what it refers to. `desk` is another one
        where the version is not the work of the ingestion engine alone.
        """
        branch = dataset.split("/")[1]
        await self._branches.get(branch)
        job = await (desk or self._desk).submit(
            branch, asked, resolve, request_id=request_id, name=lambda: self._free_name(dataset)
        )
        return await self.get(job.name)

    async def _free_name(self, dataset: str) -> str:
        """The time of arrival; a counter breaks ties."""
        stem = f"{dataset}/versions/{datetime.now(UTC):%Y%m%dT%H%M%SZ}"

        def choose(connection: Connection) -> str:
            name, tie = stem, 1
            while self._jobs.exists(connection, name):
                tie += 1
                name = f"{stem}-{tie}"
            return name

        return await self._database.run(choose)

    async def get(self, name: str) -> VersionAndJob:
        return await self._database.run(lambda connection: self._with_job(connection, name))

    def _with_job(self, connection: Connection, name: str) -> VersionAndJob:
        return VersionAndJob(self._records.get(connection, name), self._jobs.get(connection, name))

    async def list(self, parent: str, page: PageRequest) -> Page[VersionAndJob]:
        """Versions of a branch, or of one of its datasets; newest first."""
        await self._branches.get(parent.split("/")[1])

        def read(connection: Connection) -> Page[VersionAndJob]:
            found = self._records.list(connection, parent, page)
            return found.map(lambda version: VersionAndJob(version, self._jobs.get(connection, version.name)))

        return await self._database.run(read)

    async def watch(self, name: str) -> AsyncIterator[VersionAndJob]:
        """The version now and after every change of its job, until that has ended."""
        await self.get(name)
        async for _ in self._desk.watch(name):
            # The job and its version as they are together; the job alone may be a step behind.
            found = await self.get(name)
            yield found
            if found.job.state.terminal:
                return

    async def cancel(self, name: str) -> VersionAndJob:
        await self.get(name)
        await self._desk.cancel(name)
        return await self.get(name)

    async def files(self, name: str) -> Manifest:
        """The files of a version; of one that is INVALID those that tell why."""
        found = await self.get(name)
        match found.version.state:
            case VersionState.VALIDATING:
                raise FailedPrecondition(f"{name} is still VALIDATING; watch it until it has ended")
            case VersionState.INVALID if not found.job.result:
                raise NotFound(f"{name} has no report: the work on it did not get as far as reading rows")
            case VersionState.INVALID:
                return (await load_bundle(self._store, rejected_prefix(name))).manifest
        return require_files(found.version).manifest

    async def problems(self, name: str) -> ListedProblems:
        """What validation found, row by row."""
        file = (await self.files(name)).file("report.json")
        content = await self._store.get_bytes(file.key, sha256=file.sha256, limit=_REPORT_BYTES)
        return ListedProblems.model_validate_json(content)
