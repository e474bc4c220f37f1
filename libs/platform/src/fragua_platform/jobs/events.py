"""Job events and job messages: the domain's job as the protos of `fragua.common.v1` tell it."""

from __future__ import annotations

from datetime import timedelta

from fragua.common.v1 import job_events_pb2, job_pb2
from fragua_platform.errors import FraguaError, Violation
from fragua_platform.events.cloudevents import CloudEvent, new_event
from fragua_platform.grpc.status import status_proto
from fragua_platform.jobs.job import Job, JobFailure, JobState, Progress

_EVENT_NAMES = {
    JobState.QUEUED: "queued",
    JobState.RUNNING: "started",
    JobState.PAUSED: "paused",
    JobState.SUCCEEDED: "succeeded",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}


def state_event(service: str, job: Job) -> CloudEvent:
    message = job_events_pb2.JobStateChanged(
        job=job.name, branch=job.branch, state=_state(job.state), attempt=job.attempt
    )
    if job.state is JobState.FAILED and job.failure:
        message.failure_reason = job.failure.reason
        message.failure_class = job_pb2.FailureClass.Value(f"FAILURE_CLASS_{job.failure.failure_class.value}")
        message.failure_message = job.failure.message
    return new_event(job.branch, service, "job", _EVENT_NAMES[job.state], message, traceparent=job.traceparent)


def progress_event(service: str, job: Job) -> CloudEvent:
    message = job_events_pb2.JobProgressed(
        job=job.name, branch=job.branch, attempt=job.attempt, progress=progress_to_message(job.progress)
    )
    return new_event(job.branch, service, "job", "progress", message, traceparent=job.traceparent)


def status_to_message(job: Job) -> job_pb2.JobStatus:
    message = job_pb2.JobStatus(
        state=_state(job.state),
        attempt=job.attempt,
        max_attempts=job.max_attempts,
        progress=progress_to_message(job.progress),
        cancel_requested=job.cancel_requested,
        pause_requested=job.pause_requested,
        create_time=job.created,
        start_time=job.started,
        end_time=job.ended,
        update_time=job.updated,
    )
    if job.failure:
        message.error.CopyFrom(status_proto(error_of(job.failure)))
        message.failure_class = job_pb2.FailureClass.Value(f"FAILURE_CLASS_{job.failure.failure_class.value}")
    return message


def progress_to_message(progress: Progress) -> job_pb2.JobProgress:
    eta = None if progress.eta_seconds is None else timedelta(seconds=round(progress.eta_seconds))
    return job_pb2.JobProgress(
        phase=progress.phase,
        step=progress.step,
        total=progress.total,
        fraction=progress.fraction,
        eta=eta,
        message=progress.message,
        update_time=progress.updated,
    )


def error_of(failure: JobFailure) -> FraguaError:
    return FraguaError(
        failure.message,
        violations=[Violation(field, description) for field, description in failure.violations],
        reason=failure.reason,
        failure_class=failure.failure_class,
    )


def _state(state: JobState) -> job_pb2.JobState:
    return job_pb2.JobState.Value(f"JOB_STATE_{state.value}")
