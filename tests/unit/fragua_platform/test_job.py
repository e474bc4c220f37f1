"""The life of a job: which changes are legal when, what each one leaves behind, and that nobody overtakes a fence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fragua_platform.errors import FailedPrecondition, FailureClass, FraguaError, Superseded
from fragua_platform.jobs import job as life
from fragua_platform.jobs.job import Job, JobFailure, JobState, Progress

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
LEASE_END = NOW + timedelta(seconds=30)
BROKEN = JobFailure(FailureClass.CAPACITY, "ENGINE_KILLED", "sin memoria")

QUEUED = Job(
    id="1",
    kind="count",
    branch="tutor",
    name="branches/tutor/counts/1",
    spec={},
    request_id="r",
    request_digest="d",
    created=NOW,
    updated=NOW,
    max_attempts=3,
)
RUNNING = life.claimed(QUEUED, "worker", NOW, LEASE_END)
STATES = {
    JobState.QUEUED: QUEUED,
    JobState.RUNNING: RUNNING,
    JobState.PAUSED: life.pause_asked(QUEUED, NOW),
    JobState.SUCCEEDED: life.succeeded(RUNNING, 1, {"count": 3}, NOW),
    JobState.FAILED: life.failed(RUNNING, 1, BROKEN, {}, NOW),
    JobState.CANCELLED: life.cancel_asked(QUEUED, NOW),
}

Transition = Callable[[Job], Job]
TRANSITIONS: dict[str, tuple[Transition, dict[JobState, JobState], type[FraguaError]]] = {
    # name: (transition, state before -> state after, error from every other state)
    "claimed": (
        lambda job: life.claimed(job, "other", NOW, LEASE_END),
        {JobState.QUEUED: JobState.RUNNING},
        FailedPrecondition,
    ),
    "claimed after the lease": (
        lambda job: life.claimed(job, "other", LATER, LATER),
        {JobState.QUEUED: JobState.RUNNING, JobState.RUNNING: JobState.RUNNING},
        FailedPrecondition,
    ),
    "vanished": (
        lambda job: life.vanished(job, NOW),
        {JobState.RUNNING: JobState.QUEUED},
        FailedPrecondition,
    ),
    "extended": (
        lambda job: life.extended(job, 1, LATER),
        {JobState.RUNNING: JobState.RUNNING},
        Superseded,
    ),
    "progressed": (
        lambda job: life.progressed(job, 1, Progress("counting", 1, 3), NOW),
        {JobState.RUNNING: JobState.RUNNING},
        Superseded,
    ),
    "succeeded": (lambda job: life.succeeded(job, 1, {}, NOW), {JobState.RUNNING: JobState.SUCCEEDED}, Superseded),
    "failed": (lambda job: life.failed(job, 1, BROKEN, {}, NOW), {JobState.RUNNING: JobState.FAILED}, Superseded),
    "given back": (lambda job: life.given_back(job, 1, NOW), {JobState.RUNNING: JobState.QUEUED}, Superseded),
    "retried": (
        lambda job: life.retried(job, 1, BROKEN, LATER, NOW),
        {JobState.RUNNING: JobState.QUEUED},
        Superseded,
    ),
    "abandoned": (
        lambda job: life.abandoned(job, BROKEN, NOW),
        {JobState.QUEUED: JobState.FAILED},
        FailedPrecondition,
    ),
    "abandoned after the lease": (
        lambda job: life.abandoned(job, BROKEN, LATER),
        {JobState.QUEUED: JobState.FAILED, JobState.RUNNING: JobState.FAILED},
        FailedPrecondition,
    ),
    "cancel asked": (
        lambda job: life.cancel_asked(job, NOW),
        {
            JobState.QUEUED: JobState.CANCELLED,
            JobState.PAUSED: JobState.CANCELLED,
            JobState.RUNNING: JobState.RUNNING,
        },
        FailedPrecondition,
    ),
    "pause asked": (
        lambda job: life.pause_asked(job, NOW),
        {JobState.QUEUED: JobState.PAUSED, JobState.PAUSED: JobState.PAUSED, JobState.RUNNING: JobState.RUNNING},
        FailedPrecondition,
    ),
    "resumed": (
        lambda job: life.resumed(job, NOW),
        {JobState.QUEUED: JobState.QUEUED, JobState.PAUSED: JobState.QUEUED, JobState.RUNNING: JobState.RUNNING},
        FailedPrecondition,
    ),
}


@pytest.mark.parametrize("before", JobState)
@pytest.mark.parametrize("name", TRANSITIONS)
def test_each_change_is_legal_in_its_states_and_refused_in_all_others(name: str, before: JobState) -> None:
    transition, legal, refusal = TRANSITIONS[name]
    job = STATES[before]

    if before in legal:
        assert transition(job).state is legal[before]
    else:
        with pytest.raises(refusal, match=job.name):
            transition(job)


@pytest.mark.parametrize("name", ["extended", "progressed", "succeeded", "failed", "given back", "retried"])
def test_an_older_attempt_is_superseded(name: str) -> None:
    transition, _, _ = TRANSITIONS[name]
    second = life.claimed(RUNNING, "other", LATER, LATER)

    with pytest.raises(Superseded, match="no longer holds the lease"):
        transition(second)


def test_a_claim_raises_the_attempt_and_keeps_the_first_start() -> None:
    second = life.claimed(RUNNING, "other", LATER, LATER + timedelta(seconds=30))

    assert (second.attempt, second.owner, second.failures) == (2, "other", 1)
    assert second.started == RUNNING.started == NOW
    assert second.progress.step == 0


def test_a_resting_job_is_not_claimed_early() -> None:
    resting = life.retried(RUNNING, 1, BROKEN, LATER, NOW)

    assert resting.failure == BROKEN
    assert not life.claimable(resting, NOW)
    assert life.claimed(resting, "other", LATER, LATER).failure is None


@pytest.mark.parametrize(
    "failure",
    [
        lambda job: life.retried(job, job.attempt, BROKEN, LATER, NOW),
        lambda job: life.vanished(job, NOW),
        lambda job: life.claimed(job, "other", LATER, LATER),
    ],
)
def test_the_last_allowed_failure_is_final(failure: Transition) -> None:
    job = failure(replace(RUNNING, failures=2))

    assert (job.state, job.failures) == (JobState.FAILED, 3)
    assert job.failure is not None
    assert job.ended is not None


def test_pauses_and_drains_cost_no_attempt() -> None:
    job = QUEUED
    for _ in range(20):
        job = life.claimed(job, "worker", NOW, LEASE_END)
        job = life.given_back(job, job.attempt, NOW)

    assert (job.state, job.attempt, job.failures) == (JobState.QUEUED, 20, 0)


@pytest.mark.parametrize("end", [TRANSITIONS["given back"][0], TRANSITIONS["retried"][0], TRANSITIONS["vanished"][0]])
@pytest.mark.parametrize(
    ("wishes", "state"),
    [
        ([life.pause_asked], JobState.PAUSED),
        ([life.cancel_asked], JobState.CANCELLED),
        ([life.pause_asked, life.cancel_asked], JobState.CANCELLED),
        ([life.pause_asked, life.resumed], JobState.QUEUED),
    ],
)
def test_however_an_attempt_ends_early_what_was_asked_happens(
    end: Transition, wishes: list[Callable[[Job, datetime], Job]], state: JobState
) -> None:
    job = RUNNING
    for wish in wishes:
        job = wish(job, NOW)

    assert end(job).state is state


def test_a_cancelled_job_whose_worker_vanished_is_not_started_again() -> None:
    job = life.claimed(life.cancel_asked(RUNNING, NOW), "other", LATER, LATER)

    assert (job.state, job.attempt) == (JobState.CANCELLED, 1)


def test_a_cancellation_that_comes_too_late_leaves_the_success() -> None:
    job = life.succeeded(life.cancel_asked(RUNNING, NOW), 1, {"count": 3}, NOW)

    assert (job.state, job.result) == (JobState.SUCCEEDED, {"count": 3})


@pytest.mark.parametrize(("step", "total", "fraction"), [(0, 0, 0.0), (5, 0, 0.0), (1, 4, 0.25), (5, 4, 1.0)])
def test_the_fraction_is_between_nothing_and_all(step: int, total: int, fraction: float) -> None:
    assert Progress("counting", step, total).fraction == fraction


class AnyLife(RuleBasedStateMachine):
    """Clients, workers and zombies do what they like in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.job = QUEUED
        self.now = NOW

    def attempt_to(self, transition: Transition) -> None:
        before = self.job
        try:
            self.job = transition(before)
        except (FailedPrecondition, Superseded):
            return
        assert not before.state.terminal, f"{before.state} was left"
        assert self.job.attempt in (before.attempt, before.attempt + 1)
        assert self.job.failures in (before.failures, before.failures + 1)

    @rule(seconds=st.integers(0, 60))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def claim(self) -> None:
        self.attempt_to(lambda job: life.claimed(job, "worker", self.now, self.now + timedelta(seconds=30)))

    @rule(name=st.sampled_from(["cancel asked", "pause asked", "resumed", "abandoned", "vanished"]))
    def somebody_asks(self, name: str) -> None:
        self.attempt_to(TRANSITIONS[name][0])

    @precondition(lambda self: self.job.attempt > 0)
    @rule(age=st.integers(0, 2), outcome=st.integers(0, 5))
    def worker_writes(self, age: int, outcome: int) -> None:
        attempt, now = self.job.attempt - age, self.now
        writes: list[Transition] = [
            lambda job: life.extended(job, attempt, now + timedelta(seconds=30)),
            lambda job: life.progressed(job, attempt, Progress("counting"), now),
            lambda job: life.succeeded(job, attempt, {}, now),
            lambda job: life.failed(job, attempt, BROKEN, {}, now),
            lambda job: life.given_back(job, attempt, now),
            lambda job: life.retried(job, attempt, BROKEN, now + timedelta(seconds=5), now),
        ]
        before = self.job
        self.attempt_to(writes[outcome])
        assert age == 0 or self.job == before, "a zombie wrote"

    @invariant()
    def a_job_is_sound(self) -> None:
        job = self.job
        assert (job.owner != "") == (job.lease_expires is not None) == (job.state is JobState.RUNNING)
        assert (job.ended is not None) == job.state.terminal
        assert job.failures <= job.max_attempts
        assert job.failures < job.max_attempts or job.state in (JobState.FAILED, JobState.CANCELLED)
        assert job.failure is None or job.state in (JobState.QUEUED, JobState.FAILED)
        assert job.failure is not None or job.state is not JobState.FAILED
        assert job.not_before is None or job.state is JobState.QUEUED
        assert not job.pause_requested or job.state is JobState.RUNNING


AnyLife.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
test_any_order_of_changes_keeps_a_job_sound = AnyLife.TestCase
