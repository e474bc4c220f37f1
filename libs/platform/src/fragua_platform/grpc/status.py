"""The only place where error families become gRPC statuses, and statuses become error families again.

A status carries `google.rpc` details: ErrorInfo (reason, failure class, family), BadRequest (every violation with its
field) and, when the same call may work later, RetryInfo.
"""

from __future__ import annotations

from typing import Final, cast

import grpc
from google.protobuf import duration_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from fragua_platform.errors import (
    AlreadyExists,
    Corrupted,
    EngineFailure,
    FailedPrecondition,
    FailureClass,
    FraguaError,
    InternalError,
    InvalidData,
    InvalidInput,
    LimitExceeded,
    NotFound,
    Superseded,
    Unavailable,
    Violation,
)

ERROR_DOMAIN: Final = "fragua"
RETRY_DELAY_SECONDS: Final = 1
"""What RetryInfo suggests; clients back off from there."""

CODE_BY_FAMILY: Final[dict[type[FraguaError], grpc.StatusCode]] = {
    InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
    InvalidData: grpc.StatusCode.INVALID_ARGUMENT,
    NotFound: grpc.StatusCode.NOT_FOUND,
    AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    LimitExceeded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Corrupted: grpc.StatusCode.DATA_LOSS,
    Unavailable: grpc.StatusCode.UNAVAILABLE,
    Superseded: grpc.StatusCode.ABORTED,
    InternalError: grpc.StatusCode.INTERNAL,
    EngineFailure: grpc.StatusCode.INTERNAL,
    FraguaError: grpc.StatusCode.INTERNAL,
}

_FAMILY_BY_NAME: Final = {family.__name__: family for family in CODE_BY_FAMILY}

_FAMILY_BY_FOREIGN_CODE: Final[dict[grpc.StatusCode, type[FraguaError]]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidInput,
    grpc.StatusCode.OUT_OF_RANGE: InvalidInput,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.PERMISSION_DENIED: FailedPrecondition,
    grpc.StatusCode.UNAUTHENTICATED: FailedPrecondition,
    grpc.StatusCode.UNIMPLEMENTED: FailedPrecondition,
    grpc.StatusCode.RESOURCE_EXHAUSTED: LimitExceeded,
    grpc.StatusCode.DATA_LOSS: Corrupted,
    # The transport, a proxy or a stopping server spoke: the request itself may be fine, so it is worth another try.
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: Unavailable,
    grpc.StatusCode.CANCELLED: Unavailable,
    grpc.StatusCode.ABORTED: Unavailable,
}
"""For statuses without our ErrorInfo; every other code is an InternalError."""

# Headers and trailers of many gRPC implementations end at 8 KiB, and binary ones travel as base64.
_MAX_TRAILER_BYTES: Final = 5 * 1024
_MAX_MESSAGE_BYTES: Final = 1024


def status_proto(error: FraguaError) -> status_pb2.Status:
    """The whole error as it stands in the body of a message, such as `JobStatus.error`."""
    family = _family_of(error)
    status = status_pb2.Status(code=_number(CODE_BY_FAMILY[family]), message=error.message)
    status.details.add().Pack(
        error_details_pb2.ErrorInfo(
            reason=error.reason,
            domain=ERROR_DOMAIN,
            metadata={"failure_class": error.failure_class.value, "family": family.__name__},
        )
    )
    if error.violations:
        status.details.add().Pack(_bad_request(error.violations))
    if isinstance(error, Unavailable):
        delay = duration_pb2.Duration(seconds=RETRY_DELAY_SECONDS)
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    return status


def rpc_status_of(error: FraguaError) -> grpc.Status:
    """The error as the trailers of a call carry it: cut to what every client accepts, and saying so when it is cut."""
    message = _shorten(error.message)
    kept = list(error.violations)
    while True:
        status = status_proto(_copy(error, message, _with_note(kept, len(error.violations) - len(kept))))
        if status.ByteSize() <= _MAX_TRAILER_BYTES or not kept:
            return rpc_status.to_status(status)
        # In proportion, so that a thousand violations take a few rounds and not a thousand.
        kept = kept[: min(len(kept) - 1, len(kept) * _MAX_TRAILER_BYTES // status.ByteSize())]


def error_from_status(status: status_pb2.Status) -> FraguaError:
    """The error that `status_proto` described, or the nearest family for a status of foreign make."""
    violations: list[Violation] = []
    info = error_details_pb2.ErrorInfo()
    bad_request = error_details_pb2.BadRequest()
    for detail in status.details:
        # Unpack fills its target only when the detail is of the target's type.
        detail.Unpack(info)
        if detail.Unpack(bad_request):
            violations += [Violation(v.field, v.description) for v in bad_request.field_violations]
    code = _code(status.code)
    if info.domain != ERROR_DOMAIN:
        return _foreign_error(code, status.message, violations)
    family = _FAMILY_BY_NAME.get(info.metadata["family"]) or _FAMILY_BY_FOREIGN_CODE.get(code, InternalError)
    return family(
        status.message,
        violations=violations,
        reason=info.reason,
        failure_class=_failure_class(info.metadata["failure_class"], family),
    )


def error_from_rpc(call: grpc.aio.AioRpcError) -> FraguaError:
    """The error behind a failed call, with its violations."""
    try:
        # The error answers the same questions as the call that it ended.
        status = rpc_status.from_call(cast(grpc.Call, call))
    except (ValueError, DecodeError):
        # Someone on the way rewrote the code or the message; the details then belong to another error.
        status = None
    if status is None:
        return _foreign_error(call.code(), call.details() or "", [])
    return error_from_status(status)


def _foreign_error(code: grpc.StatusCode, message: str, violations: list[Violation]) -> FraguaError:
    family = _FAMILY_BY_FOREIGN_CODE.get(code, InternalError)
    return family(message or f"the call ended with {code.name}", violations=violations, reason=code.name)


def _family_of(error: FraguaError) -> type[FraguaError]:
    """Services subclass the families (`DatasetNotFound`); the nearest one of the table counts."""
    return next(ancestor for ancestor in type(error).__mro__ if ancestor in CODE_BY_FAMILY)


def _failure_class(name: str, family: type[FraguaError]) -> FailureClass:
    return FailureClass(name) if name in FailureClass.__members__ else family.failure_class


def _bad_request(violations: tuple[Violation, ...]) -> error_details_pb2.BadRequest:
    field_violation = error_details_pb2.BadRequest.FieldViolation
    return error_details_pb2.BadRequest(
        field_violations=[field_violation(field=v.field, description=v.description) for v in violations]
    )


def _copy(error: FraguaError, message: str, violations: list[Violation]) -> FraguaError:
    family = _family_of(error)
    return family(message, violations=violations, reason=error.reason, failure_class=error.failure_class)


def _with_note(kept: list[Violation], omitted: int) -> list[Violation]:
    return [*kept, Violation("", f"and {omitted} more problems, which do not fit into an answer")] if omitted else kept


def _shorten(message: str) -> str:
    encoded = message.encode()
    if len(encoded) <= _MAX_MESSAGE_BYTES:
        return message
    return encoded[:_MAX_MESSAGE_BYTES].decode(errors="ignore") + "…"


def _number(code: grpc.StatusCode) -> int:
    number: int = code.value[0]
    return number


def _code(number: int) -> grpc.StatusCode:
    return next((code for code in grpc.StatusCode if _number(code) == number), grpc.StatusCode.UNKNOWN)
