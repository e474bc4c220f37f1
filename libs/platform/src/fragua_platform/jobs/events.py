"""Job events and job messages: the domain's job as the protos of `fragua.common.v1` tell it."""

from __future__ import annotations

from datetime import timedelta

from fragua.common.v1 import job_events_pb2, job_pb2
from fragua_platform.errors import (
    FailureClass,
    FraguaError,
    InternalError,
    InvalidData,
    InvalidInput,
    LimitExceeded,
    Violation,
)
from fragua_platform.events.cloudevents import CloudEvent, new_event
from fragua_platform.grpc.status import status_proto
from fragua_platform.jobs.job import Job, JobFailure, JobState, Progress

_LONGEST_MESSAGE = 1000

_EVENT_NAMES = {
    JobState.QUEUED: "queued",
    JobState.RUNNING: "started",
    JobState.PAUSED: "paused",
    JobState.SUCCEEDED: "succeeded",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}

_STATES = {
    JobState.QUEUED: job_pb2.JOB_STATE_QUEUED,
    JobState.RUNNING: job_pb2.JOB_STATE_RUNNING,
    JobState.PAUSED: job_pb2.JOB_STATE_PAUSED,
    JobState.SUCCEEDED: job_pb2.JOB_STATE_SUCCEEDED,
    JobState.FAILED: job_pb2.JOB_STATE_FAILED,
    JobState.CANCELLED: job_pb2.JOB_STATE_CANCELLED,
}
_FAILURE_CLASSES = {
    FailureClass.USER_DATA: job_pb2.FAILURE_CLASS_USER_DATA,
    FailureClass.USER_CONFIG: job_pb2.FAILURE_CLASS_USER_CONFIG,
    FailureClass.CAPACITY: job_pb2.FAILURE_CLASS_CAPACITY,
    FailureClass.INTERNAL: job_pb2.FAILURE_CLASS_INTERNAL,
}
_FAMILIES: dict[FailureClass, type[FraguaError]] = {
    FailureClass.USER_DATA: InvalidData,
    FailureClass.USER_CONFIG: InvalidInput,
    FailureClass.CAPACITY: LimitExceeded,
    FailureClass.INTERNAL: InternalError,
}


def state_event(service: str, job: Job) -> CloudEvent:
    message = job_events_pb2.JobStateChanged(
        job=job.name, branch=job.branch, state=_STATES[job.state], attempt=job.attempt
    )
    if job.state is JobState.FAILED and job.failure:
        message.failure_reason = job.failure.reason
        message.failure_class = _FAILURE_CLASSES[job.failure.failure_class]
        # What follows the first line may quote the user's data, which events never carry.
        message.failure_message = job.failure.message.partition("\n")[0][:_LONGEST_MESSAGE]
    return new_event(job.branch, service, "job", _EVENT_NAMES[job.state], message, traceparent=job.traceparent)


def progress_event(service: str, job: Job) -> CloudEvent:
    message = job_events_pb2.JobProgressed(
        job=job.name, branch=job.branch, attempt=job.attempt, progress=progress_to_message(job.progress)
    )
    return new_event(job.branch, service, "job", "progress", message, traceparent=job.traceparent)


def dead_letter_event(service: str, job: Job, deliveries: int, cause: str) -> CloudEvent:
    message = job_events_pb2.JobDeadLettered(job=job.name, branch=job.branch, deliveries=deliveries, cause=cause)
    return new_event(job.branch, service, "job", "dead", message, traceparent=job.traceparent)


def status_to_message(job: Job) -> job_pb2.JobStatus:
    message = job_pb2.JobStatus(
        state=_STATES[job.state],
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
        message.failure_class = _FAILURE_CLASSES[job.failure.failure_class]
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
    """What the job ended with, as the family that says whose move it is: other programs switch on its code."""
    return _FAMILIES[failure.failure_class](
        failure.message,
        violations=[Violation(field, description) for field, description in failure.violations],
        reason=failure.reason,
        failure_class=failure.failure_class,
    )
