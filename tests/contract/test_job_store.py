"""What the suite relies on from the job table, held against SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from pydantic import BaseModel
from sqlalchemy.engine import Connection

from fragua_platform.database import Database, require_current_schema, upgrade_schema
from fragua_platform.errors import AlreadyExists, FailedPrecondition, FailureClass, NotFound, Superseded
from fragua_platform.events.bus import DeadLetter
from fragua_platform.jobs import job as life
from fragua_platform.jobs.desk import JobDesk
from fragua_platform.jobs.job import Job, JobFailure, JobState, Progress
from fragua_platform.jobs.store import Claim, JobStore
from fragua_platform.paging import page_request
from tests.jobs import delete_rows, events_of, metadata, new_job, new_store, work_of

LEASE = timedelta(seconds=30)
LOST_AT_ONCE = timedelta(seconds=-1)
BROKEN = JobFailure(FailureClass.INTERNAL, "BROKEN", "se rompió")
T = TypeVar("T")


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
async def empty_database(empty_url: str) -> AsyncIterator[Database]:
    database = Database(empty_url)
    yield database
    await database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    database = Database(request.getfixturevalue(f"{request.param}_with_tables"))
    database.transact(delete_rows)
    yield database
    await database.close()


class Store:
    """The job store with a transaction around each call."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.jobs = new_store()

    def created(self, **changes: object) -> Job:
        return self.do(lambda connection: self.jobs.create(connection, new_job(**changes)))

    def claim(self, job: Job, owner: str = "worker-1", lease: timedelta = LEASE) -> Claim:
        return self.do(lambda c: self.jobs.claim(c, work_of(c, job)[-1], owner, lease))

    def claimed(self, job: Job, lease: timedelta = LEASE) -> Job:
        claim = self.claim(job, lease=lease)
        assert claim.won
        return claim.job

    def get(self, job: Job) -> Job:
        return self.do(lambda connection: self.jobs.get(connection, job.name))

    def events(self, job: Job) -> list[str]:
        return self.do(lambda connection: events_of(connection, job))

    def messages(self, job: Job) -> int:
        return len(self.do(lambda connection: work_of(connection, job)))

    def do(self, work: Callable[[Connection], T]) -> T:
        return self.database.transact(work)


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database)


# --- creating


def test_a_job_comes_back_as_it_was_written(store: Store) -> None:
    job = store.created()

    assert store.get(job) == job
    assert job.state is JobState.QUEUED
    assert job.created.tzinfo == UTC


def test_a_new_job_tells_so_and_has_one_message_to_start_it(store: Store) -> None:
    job = store.created()

    assert store.events(job) == ["queued"]
    assert store.messages(job) == 1


def test_the_same_request_gives_the_first_job_again(store: Store) -> None:
    first = store.created()

    again = store.created(request_id=first.request_id)

    assert again == first
    assert store.messages(first) == 1


def test_a_request_id_with_other_content_is_refused(store: Store) -> None:
    first = store.created()

    with pytest.raises(AlreadyExists, match=first.name) as refused:
        store.created(request_id=first.request_id, request_digest="1" * 64)

    assert refused.value.reason == "REQUEST_ID_REUSED"


def test_branches_have_request_ids_of_their_own(store: Store) -> None:
    first = store.created()

    other = store.created(request_id=first.request_id, branch="tutor")

    assert other.id != first.id


async def test_one_request_sent_by_many_at_once_makes_one_job(database: Database) -> None:
    class Order(BaseModel):
        to: int

    jobs = new_store()
    desk = JobDesk(database, jobs, kind="count", collection="counts", max_attempts=3)

    async def resolve() -> Order:
        await asyncio.sleep(0.01)
        return Order(to=3)

    made = await asyncio.gather(*(desk.submit("tutor", Order(to=3), resolve, request_id="one") for _ in range(8)))

    assert len({job.id for job in made}) == 1
    listed = await desk.list("tutor", page_request(0, "", key_length=2))
    assert [job.id for job in listed.items] == [made[0].id]


async def test_validate_only_leaves_nothing_behind(database: Database) -> None:
    class Order(BaseModel):
        to: int

    async def resolve() -> Order:
        return Order(to=3)

    desk = JobDesk(database, new_store(), kind="count", collection="counts", max_attempts=3)

    job = await desk.submit("tutor", Order(to=3), resolve, request_id="one", validate_only=True)

    with pytest.raises(NotFound, match=job.name):
        await desk.get(job.name)


# --- claiming


def test_fifty_jobs_and_eight_workers_make_fifty_claims(store: Store) -> None:
    jobs = [store.created() for _ in range(50)]

    def claim_all(worker: int) -> list[str]:
        owner = f"worker-{worker}"
        return [job.id for job in jobs[worker::8] + jobs if store.claim(job, owner).won]

    with ThreadPoolExecutor(8) as workers:
        won = Counter(id_ for ids in workers.map(claim_all, range(8)) for id_ in ids)

    assert won == Counter(job.id for job in jobs)
    assert {store.get(job).attempt for job in jobs} == {1}
    assert {tuple(store.events(job)) for job in jobs} == {("queued", "started")}


def test_a_claimed_job_is_worth_trying_again_when_its_lease_ends(store: Store) -> None:
    job = store.created()
    store.claimed(job)

    second = store.claim(job, "worker-2")

    assert not second.won
    assert second.retry_after == pytest.approx(30, abs=2)


def test_after_the_lease_the_next_claim_is_the_next_attempt(store: Store) -> None:
    job = store.created()
    store.claimed(job, LOST_AT_ONCE)

    second = store.claim(job, "worker-2")

    assert second.won
    assert (second.job.attempt, second.job.failures, second.job.owner) == (2, 1, "worker-2")
    assert store.events(job) == ["queued", "started", "started"]


def test_a_job_whose_workers_all_vanish_fails_and_says_so(store: Store) -> None:
    job = store.created(max_attempts=2)
    store.claimed(job, LOST_AT_ONCE)
    store.claimed(job, LOST_AT_ONCE)

    third = store.claim(job)

    assert not third.won
    assert third.retry_after == 0
    assert third.job.state is JobState.FAILED
    assert third.job.failure is not None
    assert third.job.failure.reason == "ATTEMPTS_EXHAUSTED"
    assert store.events(job)[-1] == "failed"


def test_a_job_that_rests_after_a_failure_is_not_started_early(store: Store) -> None:
    running = store.claimed(store.created())
    store.do(lambda c: store.jobs.retry(c, running, BROKEN, timedelta(seconds=5)))

    early = store.claim(running)

    assert not early.won
    assert early.retry_after == pytest.approx(5, abs=1)


def test_a_message_that_a_later_one_replaced_starts_nothing(store: Store) -> None:
    job = store.created()
    store.do(lambda c: store.jobs.ask_pause(c, job.name))
    store.do(lambda c: store.jobs.resume(c, job.name))
    first, second = store.do(lambda c: work_of(c, job))

    assert not store.do(lambda c: store.jobs.claim(c, first, "worker-1", LEASE)).won
    assert store.do(lambda c: store.jobs.claim(c, second, "worker-1", LEASE)).won


def test_an_unknown_job_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound):
        store.do(lambda c: store.jobs.get(c, "branches/tutor/counts/nunca"))


# --- fencing

ZOMBIE_WRITES: dict[str, Callable[[JobStore, Connection, Job], object]] = {
    "extends its lease": lambda jobs, c, job: jobs.extend(c, job, LEASE),
    "tells progress": lambda jobs, c, job: jobs.record_progress(c, job, Progress("counting", 1, 3), tell=True),
    "succeeds": lambda jobs, c, job: jobs.succeed(c, job, {"count": 3}),
    "fails": lambda jobs, c, job: jobs.fail(c, job, BROKEN, {}),
    "gives it back": lambda jobs, c, job: jobs.give_back(c, job),
    "asks for a retry": lambda jobs, c, job: jobs.retry(c, job, BROKEN, timedelta(0)),
    "writes rows of its own": lambda jobs, c, job: jobs.require_lease(c, job),
}


@pytest.mark.parametrize("deed", ZOMBIE_WRITES)
@pytest.mark.parametrize("successor", ["runs", "has finished", "gave it back"])
def test_a_worker_that_lost_its_lease_changes_nothing(store: Store, deed: str, successor: str) -> None:
    zombie = store.claimed(store.created(), LOST_AT_ONCE)
    owner = store.claimed(zombie)
    if successor == "has finished":
        store.do(lambda c: store.jobs.succeed(c, owner, {"count": 3}))
    elif successor == "gave it back":
        store.do(lambda c: store.jobs.give_back(c, owner))
    before, told = store.get(zombie), store.events(zombie)

    with pytest.raises(Superseded, match=zombie.name):
        store.do(lambda c: ZOMBIE_WRITES[deed](store.jobs, c, zombie))

    assert store.get(zombie) == before
    assert store.events(zombie) == told


def test_a_late_heartbeat_keeps_a_lease_that_nobody_took(store: Store) -> None:
    running = store.claimed(store.created(), LOST_AT_ONCE)

    store.do(lambda c: store.jobs.extend(c, running, LEASE))

    assert not store.claim(running, "worker-2").won


# --- the event of a change


def test_a_change_that_is_rolled_back_leaves_no_event(store: Store) -> None:
    running = store.claimed(store.created())

    def succeed_and_break(connection: Connection) -> None:
        store.jobs.succeed(connection, running, {"count": 3})
        raise RuntimeError("the power went out")

    with pytest.raises(RuntimeError):
        store.do(succeed_and_break)

    assert store.get(running).state is JobState.RUNNING
    assert store.events(running) == ["queued", "started"]


def test_a_service_that_fails_to_keep_step_undoes_the_change(database: Database) -> None:
    def refuse(_connection: Connection, _job: Job) -> list[object]:
        raise RuntimeError("no row of that name")

    jobs, job = JobStore("counting", metadata, on_change=refuse), new_job()  # type: ignore[arg-type]

    with pytest.raises(RuntimeError):
        database.transact(lambda c: jobs.create(c, job))

    assert not database.transact(lambda c: jobs.exists(c, job.name))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda jobs, c, job: jobs.succeed(c, job, {"count": 3}), "succeeded"),
        (lambda jobs, c, job: jobs.fail(c, job, BROKEN, {}), "failed"),
        (lambda jobs, c, job: jobs.give_back(c, job), "queued"),
        (lambda jobs, c, job: jobs.retry(c, job, BROKEN, timedelta(0)), "queued"),
        (lambda jobs, c, job: [jobs.ask_cancel(c, job.name), jobs.give_back(c, job)], "cancelled"),
        (lambda jobs, c, job: [jobs.ask_pause(c, job.name), jobs.give_back(c, job)], "paused"),
        (lambda jobs, c, job: jobs.record_progress(c, job, Progress("counting"), tell=True), "progress"),
    ],
)
def test_every_change_tells_its_event(
    store: Store, change: Callable[[JobStore, Connection, Job], object], name: str
) -> None:
    running = store.claimed(store.created())

    store.do(lambda c: change(store.jobs, c, running))

    assert store.events(running) == ["queued", "started", name]


def test_only_the_first_line_of_a_failure_is_told(store: Store) -> None:
    running = store.claimed(store.created())
    crash = replace(BROKEN, message="the engine ended with SIGSEGV; its last words:\n¿Cuál es la capital secreta?")

    store.do(lambda c: store.jobs.fail(c, running, crash, {}))

    outbox = metadata.tables["outbox"]
    bodies = store.do(lambda c: [row.payload["body"] for row in c.execute(outbox.select()) if row.kind == "event"])
    assert any("SIGSEGV" in body for body in bodies)
    assert not any("capital secreta" in body for body in bodies)
    assert store.get(running).failure == crash


# --- what keeps jobs from being forgotten


def test_a_job_that_is_given_back_gets_a_message_of_its_own(store: Store) -> None:
    running = store.claimed(store.created())

    store.do(lambda c: store.jobs.give_back(c, running))

    assert store.messages(running) == 2
    again = store.claimed(running)
    assert (again.attempt, again.failures) == (2, 0)


def test_a_vanished_workers_job_is_queued_once_however_many_look(store: Store) -> None:
    running = store.claimed(store.created(), LOST_AT_ONCE)
    now = datetime.now(UTC)

    with ThreadPoolExecutor(4) as keepers:
        list(keepers.map(lambda _: store.do(lambda c: store.jobs.requeue_vanished(c, now)), range(4)))

    found = store.get(running)
    assert (found.state, found.failures) == (JobState.QUEUED, 1)
    assert store.messages(running) == 2


def test_a_live_workers_job_stays_with_it(store: Store) -> None:
    running = store.claimed(store.created())

    assert store.do(lambda c: store.jobs.requeue_vanished(c, datetime.now(UTC))) == []
    assert store.get(running) == running


def test_a_job_that_nobody_fetched_for_long_gets_a_new_message(store: Store) -> None:
    job = store.created()

    store.do(lambda c: store.jobs.requeue_waiting(c, datetime.now(UTC)))
    store.do(lambda c: store.jobs.requeue_waiting(c, datetime.now(UTC) - timedelta(hours=1)))

    assert store.messages(job) == 2
    assert store.events(job) == ["queued"]
    assert store.claim(job).won


def test_a_dead_letter_ends_its_job_and_tells_so(store: Store) -> None:
    job = store.created()
    letter = DeadLetter(store.do(lambda c: work_of(c, job)[-1]), 20, "nobody answered")

    store.do(lambda c: store.jobs.dead_lettered(c, letter))

    found = store.get(job)
    assert found.state is JobState.FAILED
    assert found.failure is not None
    assert found.failure.reason == "DELIVERIES_EXHAUSTED"
    assert store.events(job) == ["queued", "failed", "dead"]


@pytest.mark.parametrize("state", ["running", "paused", "succeeded", "queued anew"])
def test_a_dead_letter_changes_no_job_that_does_without_it(store: Store, state: str) -> None:
    job = store.created()
    letter = DeadLetter(store.do(lambda c: work_of(c, job)[-1]), 20, "nobody answered")
    running = store.claimed(job)
    if state == "paused":
        store.do(lambda c: [store.jobs.ask_pause(c, job.name), store.jobs.give_back(c, running)])
    elif state == "succeeded":
        store.do(lambda c: store.jobs.succeed(c, running, {}))
    elif state == "queued anew":
        store.do(lambda c: store.jobs.give_back(c, running))
    before = store.get(job)

    assert store.do(lambda c: store.jobs.dead_lettered(c, letter)) is None
    assert store.get(job) == before


def test_waiting_jobs_are_counted(store: Store) -> None:
    store.claimed(store.created())
    store.created()

    assert store.do(store.jobs.count_waiting) == 1


# --- lists


def test_pages_are_stable_while_jobs_are_added(store: Store) -> None:
    moment = datetime.now(UTC)
    # Several within one microsecond: the id breaks the tie.
    old = [store.created(created=moment + timedelta(microseconds=number // 3)) for number in range(7)]
    wanted = [job.id for job in sorted(old, key=lambda job: (job.created, job.id), reverse=True)]
    seen: list[str] = []
    token = ""
    while True:
        page = store.do(partial(store.jobs.list, branch="antropologia", page=page_request(2, token, key_length=2)))
        seen += [job.id for job in page.items]
        store.created(created=moment + timedelta(seconds=len(seen)))
        if not (token := page.next_token):
            break

    assert seen == wanted


def test_a_list_can_be_held_to_names_below_a_folder(store: Store) -> None:
    inside = store.created(name="branches/antropologia/datasets/a_b/versions/1")
    store.created(name="branches/antropologia/datasets/axb/versions/1")

    request = page_request(0, "", key_length=2)
    page = store.do(
        lambda c: store.jobs.list(c, "antropologia", request, below="branches/antropologia/datasets/a_b/versions/")
    )

    assert [job.id for job in page.items] == [inside.id]


# --- schemas

SERVICES = ("dataset", "trainer", "evaluator", "exporter")


@pytest.mark.parametrize("service", SERVICES)
def test_migrations_make_the_tables_that_queries_are_written_for(empty_database: Database, service: str) -> None:
    definition = importlib.import_module(f"fragua_{service}.bootstrap").DEFINITION

    upgrade_schema(empty_database, definition.migrations)

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return list(compare_metadata(context, definition.metadata))

    assert empty_database.transact(differences) == []
    require_current_schema(empty_database, definition.migrations)


def test_two_migrations_at_once_are_as_good_as_one(empty_url: str, empty_database: Database) -> None:
    migrations = importlib.import_module("fragua_trainer.bootstrap").DEFINITION.migrations
    # Processes of their own, as in a deployment: Alembic keeps the migration under way in a global of its own.
    migrate = (
        "import sys; from pathlib import Path; from fragua_platform.database import Database, upgrade_schema; "
        "upgrade_schema(Database(sys.argv[1]), Path(sys.argv[2]))"
    )
    processes = [subprocess.Popen([sys.executable, "-c", migrate, empty_url, str(migrations)]) for _ in range(2)]

    assert [process.wait(timeout=60) for process in processes] == [0, 0]

    require_current_schema(empty_database, migrations)


def test_an_unmigrated_database_is_refused(empty_database: Database) -> None:
    definition = importlib.import_module("fragua_dataset.bootstrap").DEFINITION

    with pytest.raises(FailedPrecondition, match="run `migrate`"):
        require_current_schema(empty_database, definition.migrations)


# --- the database itself


async def test_a_broken_statement_is_a_defect_and_no_outage(database: Database) -> None:
    with pytest.raises(sa.exc.DBAPIError):
        await database.run(lambda connection: connection.execute(sa.text("SELECT nada FROM ninguna_parte")))


def test_terminal_jobs_never_change_again(store: Store) -> None:
    done = store.claimed(store.created())
    done = store.do(lambda c: store.jobs.succeed(c, done, {"count": 3}))

    for wish in (store.jobs.ask_cancel, store.jobs.ask_pause, store.jobs.resume):
        with pytest.raises(FailedPrecondition, match="SUCCEEDED"):
            store.do(partial(wish, name=done.name))

    assert store.get(done) == done
    assert not life.claimable(done, datetime.now(UTC))
