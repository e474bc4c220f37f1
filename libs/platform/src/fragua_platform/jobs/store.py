"""Jobs in SQL: every change is a pure transition, written by compare-and-set, with its event in the same transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fragua_platform.errors import AlreadyExists, FailedPrecondition, FailureClass, NotFound, Superseded, Unavailable
from fragua_platform.events.bus import DeadLetter, QueuedWork
from fragua_platform.events.cloudevents import CloudEvent
from fragua_platform.events.outbox import Outbox
from fragua_platform.jobs import job as life
from fragua_platform.jobs.events import dead_letter_event, progress_event, state_event
from fragua_platform.jobs.job import Job, JobFailure, JobState, Progress
from fragua_platform.jobs.rows import job_of, row_of
from fragua_platform.jobs.turns import BranchLimits, Turns
from fragua_platform.paging import Page, PageRequest

Transition = Callable[[Job], Job]
OnChange = Callable[[Connection, Job], Sequence[CloudEvent]]
"""Called in the transaction of every state change: keeps the service's own tables in step and may add events."""

_CAS_TRIES = 10


@dataclass(frozen=True)
class Claim:
    """What a worker learns when it reaches for a job."""

    job: Job
    won: bool
    ended: bool = False
    """This claim ended the job: its last worker vanished, and no further attempt is allowed."""
    retry_after: float = 0.0
    """Seconds until it is worth trying again; 0 when this message has nothing left to do."""


class Raced(Unavailable):
    """Two creations at once wanted one name or request id; the same call again finds what the other one made."""


class JobStore:
    """All methods take a connection and belong into one transaction of the caller."""

    def __init__(
        self, service: str, metadata: sa.MetaData, on_change: OnChange, limits: BranchLimits | None = None
    ) -> None:
        self.service = service
        self._jobs = metadata.tables["jobs"]
        self._turns = Turns(service, self._jobs, limits or BranchLimits())
        self._outbox = Outbox(metadata.tables["outbox"])
        self._on_change = on_change

    # --- what use cases do

    def create(self, connection: Connection, job: Job) -> Job:
        """Insert a job and queue it. The same request again gives the first job; a different one is refused."""
        if known := self.find_request(connection, job.branch, job.request_id):
            return self._same_request(known, job)
        job = self._with_message(job)
        try:
            connection.execute(self._jobs.insert().values(**row_of(job)))
        except sa.exc.IntegrityError as clash:
            raise Raced(f"{job.name} or its request_id was taken this very moment") from clash
        self._announce(connection, job)
        self._enqueue(connection, job)
        return job

    def find_request(self, connection: Connection, branch: str, request_id: str) -> Job | None:
        query = self._jobs.select().where(self._jobs.c.branch == branch, self._jobs.c.request_id == request_id)
        row = connection.execute(query).first()
        return job_of(row) if row else None

    def _same_request(self, known: Job, job: Job) -> Job:
        if known.request_digest != job.request_digest:
            raise AlreadyExists(
                f"request_id {job.request_id!r} was used for {known.name} with other content; use a new request_id",
                reason="REQUEST_ID_REUSED",
            )
        return known

    def get(self, connection: Connection, name: str) -> Job:
        row = connection.execute(self._jobs.select().where(self._jobs.c.name == name)).first()
        if row is None:
            raise NotFound(f"{name} does not exist")
        return job_of(row)

    def exists(self, connection: Connection, name: str) -> bool:
        return connection.execute(sa.select(self._jobs.c.id).where(self._jobs.c.name == name)).first() is not None

    def list(
        self, connection: Connection, branch: str, page: PageRequest, *, kind: str = "", below: str = ""
    ) -> Page[Job]:
        """Newest first; of one kind, and only names that begin with `below`, where these are given."""
        created, key = self._jobs.c.created, self._jobs.c.id
        query = self._jobs.select().where(self._jobs.c.branch == branch)
        if kind:
            query = query.where(self._jobs.c.kind == kind)
        if below:
            query = query.where(self._jobs.c.name.startswith(below, autoescape=True))
        if page.after:
            at, last = page.instant(0), page.after[1]
            query = query.where(sa.or_(created < at, sa.and_(created == at, key < last)))
        rows = connection.execute(query.order_by(created.desc(), key.desc()).limit(page.size + 1)).all()
        return page.cut([job_of(row) for row in rows], lambda job: [job.created.isoformat(), job.id])

    def ask_cancel(self, connection: Connection, name: str) -> Job:
        return self._change(connection, self.get(connection, name).id, lambda job: life.cancel_asked(job, _now()))

    def ask_pause(self, connection: Connection, name: str) -> Job:
        return self._change(connection, self.get(connection, name).id, lambda job: life.pause_asked(job, _now()))

    def resume(self, connection: Connection, name: str) -> Job:
        return self._change(connection, self.get(connection, name).id, lambda job: life.resumed(job, _now()))

    # --- what a worker does

    def claim(self, connection: Connection, work: QueuedWork, owner: str, lease: timedelta) -> Claim:
        """Take the job that this message stands for, or the one whose turn it is; at most one worker wins it.

        It gets a higher attempt than anyone before. Where another job starts first, the two exchange their messages,
        so that at any time one message stands for each waiting job, and deliveries count for the one worked on.
        """
        self._turns.one_at_a_time(connection)
        job = self._stood_for(connection, work)
        if job is None:
            # The job was queued anew since; only its latest message may start it, or each message would.
            return Claim(self._load(connection, work.job_id), won=False)
        now = _now()
        if job.state is JobState.QUEUED and life.claimable(job, now):
            due = self._due_instead(connection, job)
            if due is None:
                return Claim(self._change(connection, job.id, lambda job: life.held(job, now)), won=False)
            job = due
        try:
            job = self._change(connection, job.id, lambda job: life.claimed(job, owner, now, now + lease))
        except FailedPrecondition:
            job = self._load(connection, job.id)
            return Claim(job, won=False, retry_after=_retry_after(job, now))
        return Claim(job, won=job.state is JobState.RUNNING, ended=job.state.terminal)

    def _due_instead(self, connection: Connection, job: Job) -> Job | None:
        """`job`, or the one that starts before it, with its message; None when nothing may start."""
        if job.not_before is not None:
            # It had begun and goes on. Its message was delivered before, which is nobody else's account.
            return job if self._turns.has_room(connection, job.branch) else None
        while (first := self._turns.next_job(connection)) not in (None, job.id):
            # Locked, both still wait when they exchange messages: one message for two jobs would lose one of them.
            waiting = {row.id: job_of(row) for row in connection.execute(self._waiting(job.id, first)).all()}
            if job.id not in waiting:
                return job
            if due := waiting.get(str(first)):
                self._change(connection, job.id, partial(_given_message, message=due.message))
                return self._change(connection, due.id, partial(_given_message, message=job.message))
        return job if first else None

    def _waiting(self, *ids: str | None) -> sa.Select[Any]:
        """Those of `ids` that are QUEUED, locked for this transaction."""
        waits = self._jobs.c.state == JobState.QUEUED.value
        return self._jobs.select().where(waits, self._jobs.c.id.in_(ids)).order_by(self._jobs.c.id).with_for_update()

    def extend(self, connection: Connection, job: Job, lease: timedelta) -> Job:
        """Heartbeat. Returns the job as it is now, with what was asked of it; `Superseded` when the lease is lost."""
        return self._change(connection, job.id, lambda j: life.extended(j, job.attempt, _now() + lease))

    def record_progress(self, connection: Connection, job: Job, progress: Progress, *, tell: bool) -> Job:
        """`tell` publishes an event as well."""
        after = self._change(connection, job.id, lambda j: life.progressed(j, job.attempt, progress, _now()))
        if tell:
            self._outbox.add_event(connection, progress_event(self.service, after))
        return after

    def succeed(self, connection: Connection, job: Job, result: Mapping[str, Any]) -> Job:
        self._turns.one_at_a_time(connection)
        return self._change(connection, job.id, lambda j: life.succeeded(j, job.attempt, result, _now()))

    def fail(self, connection: Connection, job: Job, failure: JobFailure, result: Mapping[str, Any]) -> Job:
        self._turns.one_at_a_time(connection)
        return self._change(connection, job.id, lambda j: life.failed(j, job.attempt, failure, result, _now()))

    def give_back(self, connection: Connection, job: Job) -> Job:
        self._turns.one_at_a_time(connection)
        return self._change(connection, job.id, lambda j: life.given_back(j, job.attempt, _now()))

    def retry(self, connection: Connection, job: Job, failure: JobFailure, delay: timedelta) -> Job:
        self._turns.one_at_a_time(connection)
        now = _now()
        later = now + delay
        return self._change(connection, job.id, lambda j: life.retried(j, job.attempt, failure, later, now))

    def require_lease(self, connection: Connection, job: Job) -> None:
        """Raise `Superseded` unless `job`'s attempt still owns it; call it first in a worker's own writes."""
        current = self._load(connection, job.id)
        if current.state is not JobState.RUNNING or current.attempt != job.attempt:
            raise Superseded(f"{job.name} attempt {job.attempt} no longer holds the lease")

    # --- what keeps jobs from being forgotten

    def dead_lettered(self, connection: Connection, letter: DeadLetter) -> Job | None:
        """The queue gave up on a message: the job that it stands for is FAILED, unless that is worked on or ended."""
        self._turns.one_at_a_time(connection)
        job = self._stood_for(connection, letter.work)
        if job is None:
            self._load(connection, letter.work.job_id)
            return None
        cause = f"delivered {letter.deliveries} times without a result: {letter.cause}"
        failure = JobFailure(FailureClass.INTERNAL, "DELIVERIES_EXHAUSTED", cause)
        try:
            buried = self._change(connection, job.id, lambda job: life.abandoned(job, failure, _now()))
        except FailedPrecondition:
            return None
        event = dead_letter_event(self.service, buried, letter.deliveries, letter.cause)
        self._outbox.add_event(connection, event)
        return buried

    def requeue_vanished(self, connection: Connection, expired_before: datetime | None) -> Sequence[Job]:
        """Queue RUNNING jobs whose lease ended before then; None takes every one, where all workers are known dead.

        Returns those that this call changed, as they are now: one without attempts left is FAILED.
        """

        def if_still_so(job: Job) -> Job:
            if job.lease_expires and expired_before and job.lease_expires >= expired_before:
                raise FailedPrecondition(f"{job.name} is worked on again")
            return life.vanished(job, _now())

        self._turns.one_at_a_time(connection)
        query = sa.select(self._jobs.c.id).where(self._jobs.c.state == JobState.RUNNING.value)
        if expired_before is not None:
            query = query.where(self._jobs.c.lease_expires < expired_before)
        requeued = []
        for id_ in connection.execute(query.order_by(self._jobs.c.id)).scalars().all():
            with suppress(FailedPrecondition):  # it ended meanwhile, or another keeper was faster
                requeued.append(self._change(connection, id_, if_still_so))
        return requeued

    def requeue_waiting(self, connection: Connection, since: datetime) -> Sequence[Job]:
        """Send a new message for jobs that are QUEUED and unchanged since then; their old one counts no more.

        Held jobs are left out: `offer_held` knows when their time comes.
        """
        self._turns.one_at_a_time(connection)

        query = sa.select(self._jobs.c.id).where(
            self._jobs.c.state == JobState.QUEUED.value, self._jobs.c.updated <= since, self._jobs.c.message != ""
        )
        waiting = connection.execute(query.order_by(self._jobs.c.id)).scalars().all()
        return [self._offer(connection, id_) for id_ in waiting]

    def offer_held(self, connection: Connection) -> Sequence[Job]:
        """Send a message for held jobs whose branch has room that nobody was offered."""
        self._turns.one_at_a_time(connection)
        return [self._offer(connection, id_) for id_ in self._turns.held_with_room(connection)]

    def _offer_place(self, connection: Connection, branch: str) -> None:
        """The branch has room for one more: the first of those it held takes part in the next choice again."""
        if (first := self._turns.first_held(connection, branch)) is not None:
            self._offer(connection, first)

    def _offer(self, connection: Connection, job_id: str) -> Job:
        return self._change(connection, job_id, _touched, enqueue=True)

    def ended_among(self, connection: Connection, job_ids: Collection[str], before: datetime) -> Sequence[str]:
        """Those of `job_ids` that are jobs of this service and ended before then."""
        query = sa.select(self._jobs.c.id).where(self._jobs.c.id.in_(job_ids), self._jobs.c.ended < before)
        return connection.execute(query.order_by(self._jobs.c.id)).scalars().all()

    def count_waiting(self, connection: Connection) -> int:
        query = sa.select(sa.func.count()).where(self._jobs.c.state == JobState.QUEUED.value)
        return connection.execute(query).scalar_one()

    # --- how a change is written

    def _change(self, connection: Connection, job_id: str, transition: Transition, *, enqueue: bool = False) -> Job:
        for _ in range(_CAS_TRIES):
            before = self._load(connection, job_id)
            after = transition(before)
            if after is before:
                return before
            # Whoever waits out a backoff keeps the message it came with; everybody else needs a new one.
            entered = after.state is JobState.QUEUED and before.state is not JobState.QUEUED and not after.not_before
            queued = entered or (enqueue and after.state is JobState.QUEUED)
            after = replace(after, revision=before.revision + 1)
            if queued:
                after = self._with_message(after)
            if not self._write(connection, before, after):
                continue
            if after.state is not before.state or after.attempt != before.attempt:
                self._announce(connection, after)
            if queued:
                self._enqueue(connection, after)
            if before.state is JobState.RUNNING and after.state is not JobState.RUNNING:
                self._offer_place(connection, after.branch)
            return after
        raise Unavailable(f"job {job_id} is changed by too many at once")

    def _write(self, connection: Connection, before: Job, after: Job) -> bool:
        """Compare-and-set on the revision: False when somebody else wrote since `before` was read."""
        query = self._jobs.update().where(self._jobs.c.id == before.id, self._jobs.c.revision == before.revision)
        return connection.execute(query.values(**row_of(after))).rowcount == 1

    def _announce(self, connection: Connection, job: Job) -> None:
        self._outbox.add_event(connection, state_event(self.service, job))
        for event in self._on_change(connection, job):
            self._outbox.add_event(connection, event)

    def _enqueue(self, connection: Connection, job: Job) -> None:
        self._outbox.add_work(connection, QueuedWork(self.service, job.id, job.message, job.traceparent))

    def _with_message(self, job: Job) -> Job:
        """`job` with a message of its own, which never stood for any job before."""
        number = job.enqueued + 1
        return replace(job, enqueued=number, message=f"{self.service}:{job.id}:{number}")

    def _stood_for(self, connection: Connection, work: QueuedWork) -> Job | None:
        row = connection.execute(self._jobs.select().where(self._jobs.c.message == work.message_id)).first()
        return job_of(row) if row else None

    def _load(self, connection: Connection, job_id: str) -> Job:
        row = connection.execute(self._jobs.select().where(self._jobs.c.id == job_id)).first()
        if row is None:
            raise NotFound(f"job {job_id} does not exist")
        return job_of(row)


def _given_message(job: Job, message: str) -> Job:
    return replace(job, message=message)


def _touched(job: Job) -> Job:
    return replace(job, updated=_now()) if job.state is JobState.QUEUED else job


def _retry_after(job: Job, now: datetime) -> float:
    if job.state is JobState.RUNNING and job.lease_expires:
        return max((job.lease_expires - now).total_seconds(), 0.1)
    if job.state is JobState.QUEUED and job.not_before:
        return max((job.not_before - now).total_seconds(), 0.1)
    return 0.0


def _now() -> datetime:
    return datetime.now(UTC)
