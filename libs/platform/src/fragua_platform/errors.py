"""The error families of the suite: raise meaning here, translate to gRPC status or job outcome at the edge.

Three families decide what a caller or a worker does next:

- `Unavailable`: a dependency did not answer; the same call may work later, so workers retry with backoff.
- `Superseded`: another attempt owns the work now; stop silently and write nothing.
- everything else is permanent: the same input gives the same answer, so a job fails at once.

Messages are read by people and may leave the service: name the place, the problem and the way out; never a secret.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class FailureClass(StrEnum):
    """Whose move it is when a job failed."""

    USER_DATA = "USER_DATA"
    """The rows or the files; fix the data."""
    USER_CONFIG = "USER_CONFIG"
    """The request; fix the specification."""
    CAPACITY = "CAPACITY"
    """Memory, disk, time or a dependency; give it more, or try later."""
    INTERNAL = "INTERNAL"
    """A defect of the suite; report it."""


@dataclass(frozen=True)
class Violation:
    """One problem with its place (`training_job.lora.rank`, `line 17, messages[2].role`) and its way out."""

    field: str
    description: str


class FraguaError(Exception):
    """Base of every error that the suite raises on purpose."""

    reason = "INTERNAL"
    """Machine-readable, stable, UPPER_SNAKE_CASE; clients switch on it."""
    failure_class = FailureClass.INTERNAL

    def __init__(
        self,
        message: str,
        *,
        violations: Sequence[Violation] = (),
        reason: str | None = None,
        failure_class: FailureClass | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.violations = tuple(violations)
        if reason is not None:
            self.reason = reason
        if failure_class is not None:
            self.failure_class = failure_class


class InvalidInput(FraguaError):
    """The request can never work as it is; every problem is listed in `violations`."""

    reason = "INVALID_INPUT"
    failure_class = FailureClass.USER_CONFIG


class InvalidData(InvalidInput):
    """The user's rows or files can never work as they are."""

    reason = "INVALID_DATA"
    failure_class = FailureClass.USER_DATA


class NotFound(FraguaError):
    reason = "NOT_FOUND"
    failure_class = FailureClass.USER_CONFIG


class AlreadyExists(FraguaError):
    """Something else already has this name; nothing was overwritten."""

    reason = "ALREADY_EXISTS"
    failure_class = FailureClass.USER_CONFIG


class FailedPrecondition(FraguaError):
    """The request is well formed, but the resource's state forbids it."""

    reason = "FAILED_PRECONDITION"
    failure_class = FailureClass.USER_CONFIG


class LimitExceeded(FraguaError):
    """A size, count, memory or time limit was reached; the message names the limit and its setting."""

    reason = "LIMIT_EXCEEDED"
    failure_class = FailureClass.CAPACITY


class Corrupted(FraguaError):
    """Stored bytes are not the bytes that were written: digest or size differ."""

    reason = "CORRUPTED"
    failure_class = FailureClass.INTERNAL


class Unavailable(FraguaError):
    """A dependency did not answer; nothing is known to be wrong with the request."""

    reason = "UNAVAILABLE"
    failure_class = FailureClass.CAPACITY


class Superseded(FraguaError):
    """This attempt lost its lease: another attempt owns the job and every write of ours is refused."""

    reason = "SUPERSEDED"


class InternalError(FraguaError):
    """A defect: the suite broke one of its own promises."""


class EngineFailure(FraguaError):
    """The engine's child process failed; carries the class and reason that the engine reported, or INTERNAL."""

    reason = "ENGINE_FAILED"
