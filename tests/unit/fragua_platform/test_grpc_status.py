"""Every error family becomes a gRPC status and comes back as what it was."""

from __future__ import annotations

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2

from fragua_platform.errors import (
    EngineFailure,
    FailureClass,
    FraguaError,
    InternalError,
    InvalidData,
    InvalidInput,
    NotFound,
    Unavailable,
    Violation,
)
from fragua_platform.grpc.status import (
    CODE_BY_FAMILY,
    error_from_rpc,
    error_from_status,
    rpc_status_of,
    status_proto,
)


class DatasetNotFound(NotFound):
    reason = "DATASET_NOT_FOUND"


def failed_call(status: grpc.Status) -> grpc.aio.AioRpcError:
    return ended_call(status.code, status.details, grpc.aio.Metadata(*status.trailing_metadata))


def ended_call(code: grpc.StatusCode, details: str, trailers: grpc.aio.Metadata) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers, details=details, debug_error_string="")


@pytest.mark.parametrize("family", CODE_BY_FAMILY)
def test_each_family_comes_back_whole(family: type[FraguaError]) -> None:
    violations = [Violation("lora.rank", "debe ser mayor que 0"), Violation("línea 3", "vacía")]
    sent = family("así no", violations=violations, reason="ASI_NO", failure_class=FailureClass.USER_DATA)
    received = error_from_rpc(failed_call(rpc_status_of(sent)))
    assert type(received) is family
    assert received.message == "así no"
    assert received.reason == "ASI_NO"
    assert received.failure_class is FailureClass.USER_DATA
    assert received.violations == tuple(violations)


def test_every_family_of_the_errors_module_has_a_code() -> None:
    def families(root: type[FraguaError]) -> set[type[FraguaError]]:
        return {root}.union(*(families(child) for child in root.__subclasses__()))

    assert {family for family in families(FraguaError) if family.__module__ == FraguaError.__module__} == set(
        CODE_BY_FAMILY
    )


def test_an_error_of_a_service_comes_back_as_its_nearest_family_with_its_reason() -> None:
    received = error_from_status(status_proto(DatasetNotFound("no such dataset")))
    assert type(received) is NotFound
    assert received.reason == "DATASET_NOT_FOUND"


def test_a_status_carries_the_standard_details_for_clients_in_any_language() -> None:
    status = status_proto(InvalidInput("no", violations=[Violation("rank", "must be above 0")]))
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert status.code == code_pb2.INVALID_ARGUMENT
    assert status.details[0].Unpack(info) and status.details[1].Unpack(bad_request)
    assert (info.domain, info.reason, info.metadata["failure_class"]) == ("fragua", "INVALID_INPUT", "USER_CONFIG")
    assert bad_request.field_violations[0].field == "rank"


def test_only_what_may_work_later_says_when_to_retry() -> None:
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(retry) for detail in status_proto(Unavailable("later")).details)
    assert retry.retry_delay.seconds > 0
    assert not any(detail.Unpack(retry) for detail in status_proto(NotFound("never")).details)


def test_a_thousand_violations_are_cut_to_what_trailers_hold_and_the_rest_is_counted() -> None:
    sent = InvalidData("x" * 10_000, violations=[Violation(f"line {n}", "falta «output»") for n in range(1000)])
    status = rpc_status_of(sent)
    assert sum(len(value) for _, value in status.trailing_metadata) + len(status.details) < 7 * 1024
    received = error_from_rpc(failed_call(status))
    kept = received.violations[:-1]
    assert kept == sent.violations[: len(kept)] and len(kept) > 20
    assert received.violations[-1].description.startswith(f"and {1000 - len(kept)} more problems")
    assert len(error_from_status(status_proto(sent)).violations) == 1000


@pytest.mark.parametrize(
    ("code", "family"),
    [
        (grpc.StatusCode.DEADLINE_EXCEEDED, Unavailable),
        (grpc.StatusCode.CANCELLED, Unavailable),
        (grpc.StatusCode.ABORTED, Unavailable),
        (grpc.StatusCode.OUT_OF_RANGE, InvalidInput),
        (grpc.StatusCode.UNKNOWN, InternalError),
    ],
)
def test_a_status_of_foreign_make_becomes_the_nearest_family(code: grpc.StatusCode, family: type[FraguaError]) -> None:
    received = error_from_rpc(ended_call(code, "from a proxy", grpc.aio.Metadata()))
    assert type(received) is family
    assert (received.message, received.reason) == ("from a proxy", code.name)


def test_details_that_contradict_the_call_are_ignored() -> None:
    status = rpc_status_of(NotFound("gone"))
    trailers = grpc.aio.Metadata(*status.trailing_metadata)
    call = ended_call(grpc.StatusCode.UNAVAILABLE, "the proxy is down", trailers)
    assert type(error_from_rpc(call)) is Unavailable


def test_a_family_or_class_of_a_newer_release_falls_back_to_its_code() -> None:
    status = status_pb2.Status(code=code_pb2.NOT_FOUND, message="gone")
    metadata = {"family": "Vanished", "failure_class": "COSMIC"}
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="GONE", domain="fragua", metadata=metadata))
    received = error_from_status(status)
    assert type(received) is NotFound
    assert received.failure_class is NotFound.failure_class


def test_an_engine_failure_keeps_whose_move_it_is() -> None:
    sent = EngineFailure("row 3 is empty", reason="EMPTY_ROW", failure_class=FailureClass.USER_DATA)
    assert error_from_status(status_proto(sent)).failure_class is FailureClass.USER_DATA
