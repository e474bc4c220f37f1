"""The life of a job as pure functions: what may happen when, with no clock, database or queue.

    QUEUED -> RUNNING -> SUCCEEDED | FAILED | CANCELLED
      ^  \\       |  ^
      |   \\      v  |            a retry, a drain or an expired lease takes RUNNING back to QUEUED or to another worker
      |    --> PAUSED
      |___________|               resumed

Every transition takes a job and gives the next one, or raises. `attempt` is the fencing token: it grows with each
claim, and whoever acts for an older attempt gets `Superseded`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from fragua_platform.errors import FailedPrecondition, FailureClass, FraguaError, Superseded


class JobState(StrEnum):
    QUEUED = "QUEUED"
    """Durable; waits for a worker, or until `not_before`."""
    RUNNING = "RUNNING"
    """`owner` holds the lease until `lease_expires`."""
    PAUSED = "PAUSED"
    """Stopped on request; nothing happens until it is resumed."""
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def terminal(self) -> bool:
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True)
class Progress:
    phase: str = ""
    step: int = 0
    total: int = 0
    """0 while unknown."""
    eta_seconds: float | None = None
    message: str = ""
    updated: datetime | None = None

    @property
    def fraction(self) -> float:
        return min(self.step / self.total, 1.0) if self.total > 0 else 0.0


@dataclass(frozen=True)
class JobFailure:
    failure_class: FailureClass
    reason: str
    message: str
    violations: tuple[tuple[str, str], ...] = ()
    """(field, description) pairs."""

    @staticmethod
    def of(error: FraguaError) -> JobFailure:
        violations = tuple((v.field, v.description) for v in error.violations)
        return JobFailure(error.failure_class, error.reason, error.message, violations)


@dataclass(frozen=True)
class Job:
    id: str
    kind: str
    """What is done, e.g. `training`; one per service today."""
    branch: str
    name: str
    """Resource name, e.g. `branches/tutor/trainingJobs/<id>`."""
    spec: Mapping[str, Any]
    """What was asked for, as plain data; never changes."""
    request_id: str
    request_digest: str
    created: datetime
    updated: datetime
    state: JobState = JobState.QUEUED
    attempt: int = 0
    failures: int = 0
    """Attempts that crashed, vanished or failed for lack of a dependency. Pauses and drains do not count."""
    max_attempts: int = 5
    """As many `failures` end the job."""
    cancel_requested: bool = False
    pause_requested: bool = False
    owner: str = ""
    lease_expires: datetime | None = None
    not_before: datetime | None = None
    progress: Progress = field(default_factory=Progress)
    failure: JobFailure | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    """What the job made, as plain data: set in SUCCEEDED, and in FAILED when something explains the failure."""
    traceparent: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    enqueued: int = 0
    """How often the job was handed to the queue; part of the message id, so that each time counts as new."""
    message: str = ""
    """Id of the queue's message that stands for this job: whoever is given it may work on the job. Waiting jobs exchange
    theirs when another one's turn comes first. Empty while the job is held back, since its branch is full."""
    priority: int = 0
    """Of the waiting jobs the greatest starts first."""
    revision: int = 0
    """Grows with every write; the compare-and-set column, and what watchers look at."""


def claimable(job: Job, now: datetime) -> bool:
    if job.state is JobState.QUEUED:
        return job.not_before is None or job.not_before <= now
    return job.state is JobState.RUNNING and lease_expired(job, now)


def lease_expired(job: Job, now: datetime) -> bool:
    return job.lease_expires is None or job.lease_expires <= now


def claimed(job: Job, owner: str, now: datetime, lease_until: datetime) -> Job:
    """A worker takes the job: RUNNING for `owner`, unless the former worker's end settles it (see `vanished`)."""
    if not claimable(job, now):
        raise FailedPrecondition(f"{job.name} is {job.state} and cannot be claimed")
    if job.state is JobState.RUNNING:
        job = vanished(job, now)
        if job.state is not JobState.QUEUED:
            return job
    return replace(
        job,
        state=JobState.RUNNING,
        attempt=job.attempt + 1,
        owner=owner,
        lease_expires=lease_until,
        not_before=None,
        progress=Progress(phase="starting", updated=now),
        failure=None,
        started=job.started or now,
        updated=now,
    )


def held(job: Job, now: datetime) -> Job:
    """Its branch runs as many jobs as it may, so no message stands for it until one of them ends."""
    if job.state is not JobState.QUEUED:
        return job
    reason = f"branches/{job.branch} runs as many jobs as it may"
    return replace(job, message="", not_before=None, progress=replace(job.progress, message=reason), updated=now)


def vanished(job: Job, now: datetime) -> Job:
    """The worker died without a word, which counts as a failure: QUEUED for the next one while any is allowed."""
    if job.state is not JobState.RUNNING:
        raise FailedPrecondition(f"{job.name} is {job.state}: no worker of it can have vanished")
    failures = job.failures + 1
    message = f"{failures} attempts ended without a result; the last worker vanished"
    failure = JobFailure(FailureClass.INTERNAL, "ATTEMPTS_EXHAUSTED", message)
    job = _after_failure(job, failure, now)
    return replace(job, failure=None) if job.state is JobState.QUEUED else job


def extended(job: Job, attempt: int, lease_until: datetime) -> Job:
    return replace(_fenced(job, attempt), lease_expires=lease_until)


def progressed(job: Job, attempt: int, progress: Progress, now: datetime) -> Job:
    return replace(_fenced(job, attempt), progress=progress, updated=now)


def succeeded(job: Job, attempt: int, result: Mapping[str, Any], now: datetime) -> Job:
    return replace(_ended(_fenced(job, attempt), JobState.SUCCEEDED, now), result=result)


def failed(job: Job, attempt: int, failure: JobFailure, result: Mapping[str, Any], now: datetime) -> Job:
    return replace(_ended(_fenced(job, attempt), JobState.FAILED, now), failure=failure, result=result)


def given_back(job: Job, attempt: int, now: datetime) -> Job:
    """The worker stopped before the end because it was asked to; this costs no attempt.

    CANCELLED or PAUSED when a client asked for that, else QUEUED: then it was the worker that had to go.
    """
    job = _released(_fenced(job, attempt), now)
    if job.cancel_requested:
        return _ended(job, JobState.CANCELLED, now)
    if job.pause_requested:
        return replace(job, state=JobState.PAUSED, pause_requested=False)
    return replace(job, state=JobState.QUEUED)


def retried(job: Job, attempt: int, failure: JobFailure, not_before: datetime, now: datetime) -> Job:
    """A retryable failure: QUEUED again until the allowed failures are used up, then FAILED."""
    job = _after_failure(_fenced(job, attempt), failure, now)
    return replace(job, not_before=not_before) if job.state is JobState.QUEUED else job


def abandoned(job: Job, failure: JobFailure, now: datetime) -> Job:
    """The queue gave up on the job, so nobody will work on it any more."""
    if job.state is not JobState.QUEUED and not (job.state is JobState.RUNNING and lease_expired(job, now)):
        raise FailedPrecondition(f"{job.name} is {job.state} and does not wait for the queue")
    return replace(_ended(job, JobState.FAILED, now), failure=failure)


def cancel_asked(job: Job, now: datetime) -> Job:
    """QUEUED and PAUSED end at once; a RUNNING job is asked to."""
    _refuse_terminal(job, "cancelled")
    if job.state is JobState.RUNNING:
        return replace(job, cancel_requested=True, updated=now)
    return _ended(replace(job, cancel_requested=True), JobState.CANCELLED, now)


def pause_asked(job: Job, now: datetime) -> Job:
    """QUEUED pauses at once; a RUNNING job is asked to; pausing twice is fine."""
    _refuse_terminal(job, "paused")
    if job.state is JobState.RUNNING:
        return replace(job, pause_requested=True, updated=now)
    return replace(job, state=JobState.PAUSED, pause_requested=False, failure=None, not_before=None, updated=now)


def resumed(job: Job, now: datetime) -> Job:
    """PAUSED queues again; a RUNNING job that was asked to pause goes on."""
    _refuse_terminal(job, "resumed")
    if job.state is JobState.RUNNING:
        return replace(job, pause_requested=False, updated=now)
    return replace(job, state=JobState.QUEUED, updated=now)


def _fenced(job: Job, attempt: int) -> Job:
    if job.state is not JobState.RUNNING or job.attempt != attempt:
        raise Superseded(f"{job.name} attempt {attempt} no longer holds the lease: it is {job.state}, {job.attempt}")
    return job


def _refuse_terminal(job: Job, wish: str) -> None:
    if job.state.terminal:
        raise FailedPrecondition(f"{job.name} is {job.state} and cannot be {wish} any more")


def _after_failure(job: Job, failure: JobFailure, now: datetime) -> Job:
    """One failure more. What was asked meanwhile comes first: a cancelled job is not tried again."""
    job = replace(_released(job, now), failures=job.failures + 1)
    if job.cancel_requested:
        return _ended(job, JobState.CANCELLED, now)
    if job.failures >= job.max_attempts:
        return replace(_ended(job, JobState.FAILED, now), failure=failure)
    if job.pause_requested:
        return replace(job, state=JobState.PAUSED, pause_requested=False)
    return replace(job, state=JobState.QUEUED, failure=failure)


def _released(job: Job, now: datetime) -> Job:
    return replace(job, owner="", lease_expires=None, updated=now)


def _ended(job: Job, state: JobState, now: datetime) -> Job:
    return replace(_released(job, now), state=state, ended=now, not_before=None, failure=None, pause_requested=False)
