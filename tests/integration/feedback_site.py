"""The feedback part of the dataset service on a database and a folder, with a clock that tests set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from sqlalchemy.engine import Connection

import fragua_dataset
from fragua.dataset.v1 import dataset_events_pb2
from fragua_dataset.adapters.attempts import AttemptTable
from fragua_dataset.adapters.branches import BranchTable
from fragua_dataset.adapters.consolidations import ConsolidationTable
from fragua_dataset.adapters.policies import PolicyTable
from fragua_dataset.adapters.ratings import RatingTable
from fragua_dataset.adapters.tables import metadata
from fragua_dataset.adapters.triggers import TriggerTable
from fragua_dataset.adapters.versions import VersionTable
from fragua_dataset.application.branches import BranchDirectory
from fragua_dataset.application.consolidation import Consolidations
from fragua_dataset.application.feedback import Feedback
from fragua_dataset.application.policies import Policies, packaged_policy
from fragua_dataset.application.scheduler import Scheduler
from fragua_dataset.application.treatment import Treatments
from fragua_dataset.application.triggers import Triggers
from fragua_dataset.application.versions import Versions
from fragua_dataset.domain.attempts import Attempt, Snapshot
from fragua_dataset.domain.samples import TypeSamples, VersionSamples
from fragua_platform.artifacts.local import LocalArtifactStore
from fragua_platform.artifacts.manifest import Bundle, Manifest
from fragua_platform.database import Database, upgrade_schema
from fragua_platform.events.outbox import Outbox
from fragua_platform.jobs.desk import JobDesk
from fragua_platform.jobs.store import JobStore

MIGRATIONS = Path(fragua_dataset.__file__).parent / "migrations"
BRANCH = "tutor"


@dataclass
class Clock:
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.now


class FeedbackSite:
    """One replica. Several on one database and folder are the replicas of one service."""

    def __init__(self, database: Database, folder: Path, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        outbox = Outbox(metadata.tables["outbox"])
        self.store = LocalArtifactStore(folder / "artifacts")
        self.records = records = VersionTable(outbox)
        self.jobs = JobStore("dataset", metadata, on_change=records.follow)
        desk = JobDesk(database, self.jobs, kind="version", collection="datasets", max_attempts=3)
        self.branches = BranchDirectory(database, BranchTable())
        self.versions = Versions(database, self.jobs, desk, self.branches, records, self.store)
        self.policies = Policies(database, PolicyTable(packaged_policy()))
        attempts = AttemptTable(outbox)
        self.feedback = Feedback(database, self.branches, self.policies, attempts, RatingTable())
        self.triggers = Triggers(database, self.branches, TriggerTable(outbox), attempts, clock)
        self.consolidations = Consolidations(
            database,
            self.policies,
            ConsolidationTable(),
            self.triggers,
            self.versions,
            Treatments(self.store, self.policies.policy_of),
            self.store,
            folder / "consolidations",
            clock,
        )
        self.scheduler = Scheduler(self.branches, self.consolidations, self.triggers)

    async def begin(self) -> None:
        upgrade_schema(self.database, MIGRATIONS)
        await self.branches.create(BRANCH, "Tutoría de español")

    async def change_policy(self, **changes: Any) -> None:
        kept = await self.policies.get(BRANCH)
        await self.policies.update(BRANCH, kept.policy.model_dump() | changes, kept.etag)

    async def finish(self, version: str, *, rows: int) -> None:
        """What a worker and the engine would do: the version becomes valid, with so many rows."""

        def succeed(connection: Connection) -> None:
            table = metadata.tables["jobs"]
            connection.execute(table.update().where(table.c.name == version).values(state="RUNNING", attempt=1))
            bundle = Bundle(manifest=Manifest(prefix=version, files=()), manifest_sha256="0" * 64)
            result = {"bundle": bundle.model_dump(mode="json"), "rows": rows, "train_rows": rows}
            keys = tuple(f"{number:016x}" for number in range(rows))
            samples = VersionSamples(exercise_types={"": TypeSamples(samples=rows, keys=keys)})
            self.records.keep_samples(connection, version, samples)
            self.jobs.succeed(connection, self.jobs.get(connection, version), result)

        await self.database.run(succeed)

    async def firings(self) -> list[dataset_events_pb2.TriggerFired]:
        """What the outbox tells of triggers, in order."""
        return [
            json_format.Parse(payload["body"], dataset_events_pb2.TriggerFired())
            for payload in await self.outbox_payloads()
            if payload.get("headers", {}).get("ce-subject", "").endswith("dataset.trigger.fired")
        ]

    async def outbox_payloads(self) -> Sequence[dict[str, Any]]:
        table = metadata.tables["outbox"]
        query = table.select().order_by(table.c.position)
        return await self.database.run(lambda connection: [row.payload for row in connection.execute(query)])


def attempt(number: int, accuracy: float = 0.97, exercise_type: str = "open", **snapshot: Any) -> Attempt:
    """One of many by one user, unlike any other."""
    given = {"question": f"¿Cuánto es {number} más uno?", "answer": f"Son {number + 1}, señora."} | snapshot
    now = datetime.now(UTC)
    return Attempt(f"intento-{number:06d}", exercise_type, "usuaria-ñ-7", accuracy, Snapshot(**given), now)
