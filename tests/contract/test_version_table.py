"""What the dataset service relies on from its table of versions, held against SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from fragua_dataset.adapters.tables import metadata
from fragua_dataset.adapters.versions import VersionTable
from fragua_dataset.bootstrap import DEFINITION
from fragua_dataset.domain.version import Origin, Review, Signature, Version, VersionState, approved, archived, rejected
from fragua_dataset.domain.version_order import SourceObject, VersionOrder
from fragua_dataset.domain.version_spec import VersionSpec
from fragua_platform.artifacts.manifest import Bundle, Manifest
from fragua_platform.database import Database, upgrade_schema
from fragua_platform.errors import FailedPrecondition, FailureClass, NotFound
from fragua_platform.events.bus import QueuedWork
from fragua_platform.events.outbox import Outbox
from fragua_platform.jobs.job import Job, JobFailure, JobState
from fragua_platform.jobs.store import JobStore
from fragua_platform.paging import page_request

T = TypeVar("T")
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
BUNDLE = Bundle(manifest=Manifest(prefix="datasets/tutor/a/1", files=()), manifest_sha256="0" * 64)
REVIEW = Review("Íñigo Muñoz", "Está bien.", NOW, sample_seed=2**62, sample_size=20)


class Versions:
    """The table with the job store that it follows, each call in a transaction of its own."""

    def __init__(self, database: Database) -> None:
        outbox = Outbox(metadata.tables["outbox"])
        self.table = VersionTable(outbox)
        self.jobs = JobStore("dataset", metadata, on_change=self.table.follow)
        self._database = database

    def do(self, work: Callable[[Connection], T]) -> T:
        return self._database.transact(work)

    def ordered(self, dataset: str, version: str, *, minutes: int = 0, **order: Any) -> Job:
        name = f"branches/tutor/datasets/{dataset}/versions/{version}"
        spec = VersionOrder(
            dataset=f"branches/tutor/datasets/{dataset}",
            origin=Origin.IMPORT,
            source=SourceObject(key="uploads/tutor/aa", size=3, sha256="aa"),
            lineage=(f"branches/tutor/datasets/{dataset}",),
            spec=VersionSpec(),
            **order,
        )
        created = NOW + timedelta(minutes=minutes)
        job = Job(
            id=f"{dataset}-{version}",
            kind="version",
            branch="tutor",
            name=name,
            spec=spec.model_dump(mode="json"),
            request_id=f"{dataset}-{version}",
            request_digest="0" * 64,
            created=created,
            updated=created,
        )
        return self.do(lambda connection: self.jobs.create(connection, job))

    def made(self, dataset: str, version: str, **more: Any) -> Version:
        """As its job left it when it succeeded."""
        job = self.claimed(self.ordered(dataset, version, **more))
        result = {"bundle": BUNDLE.model_dump(mode="json"), "rows": 3, "train_rows": 2, "validation_rows": 1}
        self.do(lambda connection: self.jobs.succeed(connection, job, result))
        return self.get(job.name)

    def claimed(self, job: Job) -> Job:
        work = QueuedWork("dataset", job.id, f"dataset:{job.id}:1", "")
        return self.do(lambda connection: self.jobs.claim(connection, work, "worker", timedelta(seconds=30)).job)

    def get(self, name: str) -> Version:
        return self.do(lambda connection: self.table.get(connection, name))

    def decide(
        self, before: Version, decision: Callable[[Version, Review], Version], review: Review = REVIEW
    ) -> Version:
        after = decision(before, review)
        self.do(lambda connection: self.table.review(connection, before, after, review))
        return self.get(before.name)

    def events(self) -> list[str]:
        """Version events of the outbox, in order."""
        outbox = metadata.tables["outbox"]
        rows = self.do(
            lambda connection: connection.execute(
                outbox.select().where(outbox.c.kind == "event").order_by(outbox.c.position)
            ).all()
        )
        subjects = [row.payload["headers"]["ce-subject"] for row in rows]
        return [subject.rpartition(".")[2] for subject in subjects if ".dataset.version." in subject]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Without tables."""
    url = f"sqlite:///{tmp_path / 'd.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    database = Database(url)
    yield database
    database.engine.dispose()


@pytest.fixture
def versions(database: Database) -> Versions:
    upgrade_schema(database, DEFINITION.migrations)
    return Versions(database)


def test_a_version_follows_its_job_from_order_to_ready(versions: Versions) -> None:
    job = versions.ordered("a", "1", parents=("branches/tutor/datasets/b/versions/1",))
    waiting = versions.get(job.name)
    assert (waiting.state, waiting.origin, waiting.profile) == (VersionState.VALIDATING, Origin.IMPORT, "instruct")
    assert waiting.parents == ("branches/tutor/datasets/b/versions/1",)
    assert versions.events() == []

    ready = versions.made("a", "2")

    assert (ready.state, ready.bundle) == (VersionState.READY, BUNDLE)
    assert (ready.findings.rows, ready.findings.train_rows, ready.findings.validation_rows) == (3, 2, 1)
    assert versions.events() == ["ready"]


def test_a_job_that_failed_or_was_cancelled_leaves_an_invalid_version(versions: Versions) -> None:
    failed = versions.claimed(versions.ordered("a", "1"))
    failure = JobFailure(FailureClass.USER_DATA, "INVALID_DATA", "2 errors")
    result = {"bundle": BUNDLE.model_dump(mode="json"), "rows": 3, "problem_counts": {"EMPTY_TEXT": 2}}
    versions.do(lambda connection: versions.jobs.fail(connection, failed, failure, result))
    cancelled = versions.ordered("a", "2")
    versions.do(lambda connection: versions.jobs.ask_cancel(connection, cancelled.name))

    found = [versions.get(job.name) for job in (failed, cancelled)]

    assert [version.state for version in found] == [VersionState.INVALID] * 2
    assert [version.findings.problems for version in found] == [2, 0]
    assert found[0].bundle is None, "the report of an invalid version is no version"
    assert versions.events() == ["invalid", "invalid"]


def test_jobs_of_other_kinds_have_no_version(versions: Versions) -> None:
    job = replace(versions.ordered("a", "1"), id="x", kind="conversion", name="x", request_id="x")
    versions.do(lambda connection: versions.jobs.create(connection, job))
    with pytest.raises(NotFound):
        versions.get("x")


def test_reviews_are_kept_and_the_latest_one_shown(versions: Versions) -> None:
    waiting = versions.made("a", "1", requires_approval=True)
    assert waiting.state is VersionState.AWAITING_APPROVAL
    ready = versions.decide(waiting, approved)
    assert (ready.state, ready.review) == (VersionState.READY, REVIEW)
    later = Review("Begoña", "Hay una más nueva.", NOW + timedelta(days=1))
    gone = versions.decide(ready, archived, later)
    assert (gone.state, gone.review) == (VersionState.ARCHIVED, later)
    assert versions.events() == ["awaiting-approval", "ready", "archived"]
    kept = metadata.tables["dataset_reviews"]
    reviewers = versions.do(lambda c: c.execute(sa.select(kept.c.reviewer).order_by(kept.c.reviewed)).scalars().all())
    assert reviewers == ["Íñigo Muñoz", "Begoña"]


def test_a_decision_on_what_somebody_else_has_decided_is_refused_and_writes_nothing(versions: Versions) -> None:
    waiting = versions.made("a", "1", requires_approval=True)
    versions.decide(waiting, rejected)
    with pytest.raises(FailedPrecondition, match="this very moment"):
        versions.decide(waiting, approved)
    assert versions.get(waiting.name).state is VersionState.REJECTED
    assert versions.events() == ["awaiting-approval", "rejected"]


def test_of_each_key_the_latest_signature_counts(versions: Versions) -> None:
    version = versions.made("a", "1")
    first = Signature("Íñigo", b"\1" * 32, b"\2" * 64, NOW)
    other = Signature("Begoña", b"\3" * 32, b"\4" * 64, NOW + timedelta(seconds=1))
    renewed = replace(first, signer="Íñigo Muñoz", time=NOW + timedelta(seconds=2))
    for signature in (first, other, renewed):
        versions.do(partial(versions.table.add_signature, version=version, signature=signature))
    assert versions.get(version.name).signatures == (other, renewed)


def test_pages_go_by_time_then_name_within_a_branch_or_a_dataset(versions: Versions) -> None:
    made = [versions.made(dataset, number) for dataset, number in (("a", "1"), ("a", "2"), ("ab", "1"))]
    newest = versions.made("ab", "2", minutes=1)
    wanted = [newest.name, *sorted((version.name for version in made), reverse=True)]

    def listed(parent: str) -> list[str]:
        names: list[str] = []
        token = ""
        while True:
            request = page_request(1, token, key_length=2)
            page = versions.do(partial(versions.table.list, parent=parent, page=request))
            names += [version.name for version in page.items]
            if not (token := page.next_token):
                return names

    assert listed("branches/tutor") == wanted
    assert listed("branches/tutor/datasets/a") == [name for name in wanted if "/a/" in name]


def test_of_each_dataset_the_newest_usable_version_is_found(versions: Versions) -> None:
    versions.made("a", "1")
    newest = versions.made("a", "2", minutes=1)
    versions.decide(versions.made("a", "3", minutes=2, requires_approval=True), rejected)
    versions.ordered("a", "4", minutes=3)
    waiting = versions.made("b", "1", requires_approval=True)
    found = versions.do(lambda connection: versions.table.latest_usable(connection, "tutor"))
    assert [version.name for version in found] == [newest.name, waiting.name]
    assert versions.do(lambda connection: versions.table.latest_usable(connection, "nadie")) == []


def test_imports_from_before_versions_had_rows_become_versions_that_can_be_worked_on(database: Database) -> None:
    migrate_to("0001", database)
    dataset = "branches/tutor/datasets/viejo"
    order = {
        "dataset": dataset,
        "filename": "viejo.jsonl",
        "source_key": "uploads/tutor/aa",
        "source_size": 3,
        "source_sha256": "aa",
        "spec": {"format": "csv", "validation_fraction": 0.3, "min_examples": 5, "min_answer_chars": 9},
    }
    versions = Versions(database)
    states = {JobState.SUCCEEDED: VersionState.READY, JobState.FAILED: VersionState.INVALID}
    states[JobState.QUEUED] = VersionState.VALIDATING
    for state in states:
        done = state is JobState.SUCCEEDED
        old_job = {
            "id": state.value,
            "kind": "import",
            "branch": "tutor",
            "name": f"{dataset}/versions/{state}",
            "spec": order,
            "request_id": state.value,
            "state": state.value,
            "result": {"bundle": BUNDLE.model_dump(mode="json"), "rows": 3, "train_rows": 2} if done else {},
        }
        versions.do(partial(insert_old_job, job=old_job))

    upgrade_schema(database, DEFINITION.migrations)

    for state, expected in states.items():
        version = versions.get(f"{dataset}/versions/{state}")
        assert (version.state, version.lineage) == (expected, (dataset,))
        job = versions.do(partial(versions.jobs.get, name=version.name))
        assert job.kind == "version"
        spec = VersionOrder.model_validate(job.spec).spec
        assert (spec.format, spec.validation_fraction) == ("csv", 0.3)
        assert (spec.profile.min_examples, spec.profile.answer.min_chars) == (5, 9)
    ready = versions.get(f"{dataset}/versions/SUCCEEDED")
    assert (ready.bundle, ready.findings.train_rows) == (BUNDLE, 2)


def insert_old_job(connection: Connection, job: dict[str, Any]) -> None:
    """As the first release wrote it, into the columns that it knew."""
    defaults = {
        "request_digest": "0" * 64,
        "attempt": 0,
        "failures": 0,
        "max_attempts": 5,
        "cancel_requested": False,
        "pause_requested": False,
        "owner": "",
        "progress": {"phase": "", "step": 0, "total": 0, "eta_seconds": None, "message": "", "updated": None},
        "traceparent": "",
        "created": NOW,
        "updated": NOW,
        "enqueued": 1,
        "revision": 0,
    }
    row = defaults | job
    columns = [sa.column(column.name, column.type) for column in metadata.tables["jobs"].c if column.name in row]
    connection.execute(sa.table("jobs", *columns).insert().values(row))


def migrate_to(revision: str, database: Database) -> None:
    """What `upgrade_schema` does, up to an older revision."""
    script = ScriptDirectory(str(DEFINITION.migrations), version_locations=[str(DEFINITION.migrations)])

    def upgrade(connection: Connection) -> None:
        with EnvironmentContext(Config(), script, fn=lambda now, _: script._upgrade_revs(revision, now)) as environment:
            environment.configure(connection=connection)
            environment.run_migrations()

    database.transact(upgrade)
