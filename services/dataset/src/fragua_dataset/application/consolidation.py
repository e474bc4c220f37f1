"""Gathering a branch's samples and its pool into dataset versions, on demand and by the policy's schedule.

It has two steps, so that no crash loses or doubles anything. The first is one transaction: it says which samples the
consolidation takes in. The second writes them as files and orders the versions; it can be done again by anybody, and
then gives the same files and finds the same versions.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import structlog
from pydantic import BaseModel, ConfigDict
from sqlalchemy.engine import Connection

from fragua_dataset.application.policies import Policies
from fragua_dataset.application.schedule import last_point
from fragua_dataset.application.treatment import Treatments, leaving_out_bad_rows
from fragua_dataset.application.triggers import Clock, Triggers, utc_now
from fragua_dataset.application.versions import VersionAndJob, Versions
from fragua_dataset.domain.consolidation import Consolidation
from fragua_dataset.domain.version import Origin
from fragua_dataset.domain.version_order import SourceObject, VersionOptions, VersionOrder
from fragua_dataset.domain.version_spec import VersionSpec
from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.database import Database
from fragua_platform.errors import AlreadyExists

log = structlog.get_logger()

_LONGEST_LINE = 16 * 2**20
"""More than the largest attempt makes, however much of it JSON has to escape."""


class ConsolidationRecords(Protocol):
    """Each call in the caller's transaction."""

    def find(self, connection: Connection, branch: str, cause: str) -> Consolidation | None: ...

    def begin(
        self, connection: Connection, branch: str, cause: str, exercise_type: str, now: datetime
    ) -> tuple[Consolidation, bool]:
        """Take in whatever is new; True when it was this call that did. Whoever comes second for a cause waits."""
        ...

    def complete(
        self, connection: Connection, begun: Consolidation, versions: Sequence[str], now: datetime
    ) -> None: ...

    def unfinished(self, connection: Connection, branch: str | None = None) -> Sequence[Consolidation]:
        """Of all branches, or of one; in the order in which they began."""
        ...

    def rows(self, connection: Connection, begun: Consolidation, dataset: str) -> Iterator[dict[str, Any]]:
        """All that was taken in for a dataset so far, always in the same order; a few at a time in memory."""
        ...


class _Asked(BaseModel):
    """What makes two orders the same version."""

    model_config = ConfigDict(frozen=True)

    dataset: str
    consolidation: int


class Consolidations:
    def __init__(
        self,
        database: Database,
        policies: Policies,
        records: ConsolidationRecords,
        triggers: Triggers,
        versions: Versions,
        treatments: Treatments,
        store: ArtifactStore,
        directory: Path,
        clock: Clock = utc_now,
    ) -> None:
        """Files are written below `directory` on their way to the store."""
        self._database = database
        self._policies = policies
        self._records = records
        self._triggers = triggers
        self._versions = versions
        self._treatments = treatments
        self._store = store
        self._directory = directory
        self._clock = clock

    async def on_request(self, branch: str, exercise_type: str, request_id: str) -> Sequence[VersionAndJob]:
        """The versions made; the same request again gives the ones that it made the first time."""
        cause = f"request:{request_id}"
        await self._begin(branch, cause, exercise_type)
        await self.finish_all(branch)
        done = await self._database.run(lambda connection: self._records.find(connection, branch, cause))
        assert done is not None
        return [await self._versions.get(name) for name in done.dataset_versions]

    async def on_schedule(self, branch: str) -> None:
        """Consolidate for the last point of the branch's schedule, if it has come and nobody did."""
        kept, now = await self._policies.get(branch), self._clock()
        if not (cron := kept.policy.consolidation_schedule):
            return
        if point := last_point(cron, after=kept.schedule_since, now=now):
            await self._begin(branch, f"schedule:{point:%Y-%m-%dT%H:%M:%SZ}", "")

    async def _begin(self, branch: str, cause: str, exercise_type: str) -> None:
        def begin(connection: Connection) -> None:
            # Most often it is known, and then nobody has to wait for anybody.
            begun, first = self._records.find(connection, branch, cause), False
            if begun is None:
                begun, first = self._records.begin(connection, branch, cause, exercise_type, self._clock())
            if begun.exercise_type != exercise_type:
                raise AlreadyExists(
                    f"request_id of {cause!r} was used for {begun.exercise_type or 'the whole branch'}; use a new one",
                    reason="REQUEST_ID_REUSED",
                )
            if first:
                # An accuracy cycle may have ended with it.
                self._triggers.judge_branch(connection, branch)
                log.info(
                    "consolidation_begun", branch=branch, number=begun.number, cause=cause, datasets=begun.datasets
                )

        await self._database.run(begin)

    async def finish_all(self, branch: str) -> None:
        """Order the versions of whatever a branch began to consolidate, here or elsewhere."""
        for begun in await self._database.run(lambda connection: self._records.unfinished(connection, branch)):
            await self._finish(begun)

    async def unfinished_branches(self) -> Sequence[str]:
        begun = await self._database.run(lambda connection: self._records.unfinished(connection))
        return sorted({each.branch for each in begun})

    async def _finish(self, begun: Consolidation) -> None:
        names = [(await self._order(begun, dataset)).version.name for dataset in begun.datasets]
        await self._database.run(lambda connection: self._records.complete(connection, begun, names, self._clock()))

    async def _order(self, begun: Consolidation, dataset: str) -> VersionAndJob:
        full_name = f"branches/{begun.branch}/datasets/{dataset}"

        async def resolve() -> VersionOrder:
            treatment = await self._treatments.of(begun.branch, VersionOptions())
            return VersionOrder(
                dataset=full_name,
                origin=Origin.CONSOLIDATION,
                filename=f"{dataset}.jsonl",
                source=await self._write(begun, dataset),
                lineage=(full_name,),
                requires_approval=treatment.requires_approval,
                spec=_for_samples(treatment.spec),
            )

        # With colons, which the request ids of clients do not have.
        request_id = f"consolidation:{begun.number}:{dataset}"
        asked = _Asked(dataset=full_name, consolidation=begun.number)
        return await self._versions.submit(full_name, asked, resolve, request_id=request_id)

    async def _write(self, begun: Consolidation, dataset: str) -> SourceObject:
        """All samples so far, under the digest of their bytes."""
        self._directory.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._directory, prefix="consolidation-") as file:
            path = Path(file.name)

            def write(connection: Connection) -> str:
                return _write_rows(path, self._records.rows(connection, begun, dataset))

            sha256 = await self._database.run(write)
            stored = await self._store.put_file(f"consolidations/{begun.branch}/{sha256}.jsonl", path)
        return SourceObject(key=stored.key, size=stored.size, sha256=stored.sha256)


def _for_samples(spec: VersionSpec) -> VersionSpec:
    """A sample cannot be mended by whoever consolidates."""
    # What a learner was asked says which shape a row has, whatever shapes the branch wants of imports.
    profile = spec.profile.model_copy(update={"shapes": ()})
    spec = spec.model_copy(update={"format": "jsonl", "max_line_bytes": _LONGEST_LINE, "profile": profile})
    return spec.model_copy(update={"row_filter": leaving_out_bad_rows(spec)})


def _write_rows(path: Path, rows: Iterator[dict[str, Any]]) -> str:
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for row in rows:
            line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
            digest.update(line)
            file.write(line)
    return digest.hexdigest()
