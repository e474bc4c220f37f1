"""A real server on a free port and a real channel to it: what callers of any service get to see."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client import REGISTRY

from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2_grpc
from fragua.dataset.v1 import dataset_service_pb2 as messages
from fragua_platform.errors import (
    FailedPrecondition,
    FailureClass,
    FraguaError,
    InternalError,
    InvalidInput,
    LimitExceeded,
    NotFound,
    Unavailable,
    Violation,
)
from fragua_platform.grpc.client import open_channel
from fragua_platform.grpc.server import GrpcServer, GrpcService
from fragua_platform.grpc.tls import ChannelTls, ServerTls
from fragua_platform.logging import configure_logging
from fragua_platform.telemetry import configure_tracing, current_traceparent, span_from_traceparent

SERVICE = "fragua.dataset.v1.DatasetService"
VERSION = "branches/tutor/datasets/algebra/versions/v1"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Datasets(dataset_service_pb2_grpc.DatasetServiceServicer):
    """Behaves as its branch names tell it to."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.arrived = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.attempts = 0
        self.traceparents: list[str] = []
        self.received_bytes = 0

    async def GetBranch(self, request: messages.GetBranchRequest, context: Any) -> dataset_pb2.Branch:
        self.attempts += 1
        self.traceparents.append(current_traceparent())
        match request.name.removeprefix("branches/"):
            case "missing":
                raise NotFound("branch 'missing' does not exist", reason="BRANCH_NOT_FOUND")
            case "defect":
                raise RuntimeError("connection to postgresql://fragua:s3creto@db/fragua lost")
            case "hiccup" if self.attempts < 3:
                raise Unavailable("the database does not answer")
            case "slow":
                self.arrived.set()
                try:
                    await self.release.wait()
                except asyncio.CancelledError:
                    self.cancelled.set()
                    raise
        return dataset_pb2.Branch(name=request.name, display_name="Antropología")

    async def ImportDataset(
        self, request_iterator: AsyncIterator[messages.ImportDatasetRequest], context: Any
    ) -> dataset_pb2.DatasetVersion:
        async for request in request_iterator:
            self.received_bytes += len(request.chunk)
        return dataset_pb2.DatasetVersion(source_size_bytes=self.received_bytes)

    async def WatchDatasetVersion(
        self, request: messages.WatchDatasetVersionRequest, context: Any
    ) -> AsyncIterator[dataset_pb2.DatasetVersion]:
        yield dataset_pb2.DatasetVersion(name=request.name, row_count=1)
        if request.name.endswith("/broken"):
            raise FailedPrecondition("this version was deleted", violations=[Violation("name", "was deleted")])
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


def new_servicer() -> Datasets:
    return Datasets()  # type: ignore[abstract]  # The calls that it lacks answer UNIMPLEMENTED.


@asynccontextmanager
async def serving(servicer: Datasets, **options: Any) -> AsyncIterator[GrpcServer]:
    register = dataset_service_pb2_grpc.add_DatasetServiceServicer_to_server
    async with GrpcServer([GrpcService(register, servicer, SERVICE)], **options) as server:
        await server.set_ready(True)
        yield server


@pytest.fixture
async def servicer() -> Datasets:
    return new_servicer()


@pytest.fixture
async def server(servicer: Datasets) -> AsyncIterator[GrpcServer]:
    async with serving(servicer, drain_seconds=0.5) as server:
        yield server


@pytest.fixture
async def channel(server: GrpcServer) -> AsyncIterator[grpc.aio.Channel]:
    async with open_channel(server.target) as channel:
        yield channel


@pytest.fixture
async def datasets(channel: grpc.aio.Channel) -> Any:
    return dataset_service_pb2_grpc.DatasetServiceStub(channel)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What a service writes to stderr."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    with redirect_stderr(stream):
        configure_logging("dataset", "INFO", "json")
    yield stream
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


async def test_a_good_call_is_answered(datasets: Any) -> None:
    branch = await datasets.GetBranch(messages.GetBranchRequest(name="branches/antropologia"))
    assert branch.display_name == "Antropología"


async def test_a_bad_request_is_answered_with_every_violation_at_once(datasets: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        await datasets.CreateBranch(messages.CreateBranchRequest(branch_id="Ñandú!", display_name="x" * 121))
    assert {violation.field for violation in refused.value.violations} == {"branch_id", "display_name"}
    assert refused.value.reason == "INVALID_INPUT"
    assert refused.value.failure_class is FailureClass.USER_CONFIG


async def test_every_message_of_a_client_stream_is_checked(datasets: Any, servicer: Datasets) -> None:
    async def requests() -> AsyncIterator[messages.ImportDatasetRequest]:
        yield messages.ImportDatasetRequest(chunk=b"fine")
        yield messages.ImportDatasetRequest(header=messages.ImportDatasetHeader(parent="nowhere", request_id="r 1"))

    with pytest.raises(InvalidInput) as refused:
        await datasets.ImportDataset(requests())
    assert [violation.field for violation in refused.value.violations] == ["header.parent", "header.request_id"]
    assert servicer.received_bytes == 4


async def test_a_client_stream_arrives_whole(datasets: Any) -> None:
    async def requests() -> AsyncIterator[messages.ImportDatasetRequest]:
        for _ in range(8):
            yield messages.ImportDatasetRequest(chunk=bytes(1024 * 1024))

    version = await datasets.ImportDataset(requests())
    assert version.source_size_bytes == 8 * 1024 * 1024


async def test_an_error_keeps_its_family_reason_and_message(datasets: Any) -> None:
    with pytest.raises(NotFound, match="branch 'missing' does not exist") as missing:
        await datasets.GetBranch(messages.GetBranchRequest(name="branches/missing"))
    assert missing.value.reason == "BRANCH_NOT_FOUND"


async def test_an_error_in_a_server_stream_comes_after_the_answers_before_it(datasets: Any) -> None:
    request = messages.WatchDatasetVersionRequest(name=VERSION.replace("v1", "broken"))
    received = []
    with pytest.raises(FailedPrecondition) as ended:
        async for version in datasets.WatchDatasetVersion(request):
            received.append(version.row_count)
    assert received == [1]
    assert ended.value.violations == (Violation("name", "was deleted"),)


async def test_a_defect_leaks_nothing_but_an_id_that_the_log_has(datasets: Any, log: io.StringIO) -> None:
    with pytest.raises(InternalError, match=r"^internal error [0-9a-f]{32}: ") as defect:
        await datasets.GetBranch(messages.GetBranchRequest(name="branches/defect"))
    assert defect.value.message.split()[2].rstrip(":") in log.getvalue()
    assert "RuntimeError" in log.getvalue()
    assert "s3creto" not in log.getvalue()


async def test_each_call_is_one_log_line_with_its_request_id(datasets: Any, log: io.StringIO) -> None:
    request = messages.GetBranchRequest(name="branches/tutor")
    await datasets.GetBranch(request, metadata=(("x-request-id", "request-1"),))
    [event] = [json.loads(line) for line in log.getvalue().splitlines() if "rpc_finished" in line]
    assert event["request_id"] == "request-1"
    assert event["rpc"] == f"{SERVICE}/GetBranch"
    assert event["code"] == "OK" and event["seconds"] > 0


async def test_calls_are_counted_by_method_and_code(datasets: Any) -> None:
    def count() -> float:
        labels = {"service": SERVICE, "method": "GetBranch", "code": "NOT_FOUND"}
        return REGISTRY.get_sample_value("fragua_rpc_seconds_count", labels) or 0.0

    before = count()
    with pytest.raises(NotFound):
        await datasets.GetBranch(messages.GetBranchRequest(name="branches/missing"))
    assert count() == before + 1


async def test_the_trace_of_the_caller_goes_on_in_the_handler(datasets: Any, servicer: Datasets) -> None:
    configure_tracing("test")
    with span_from_traceparent("caller", TRACEPARENT):
        await datasets.GetBranch(messages.GetBranchRequest(name="branches/tutor"))
    [seen] = servicer.traceparents
    assert seen.split("-")[1] == TRACEPARENT.split("-")[1]
    assert seen.split("-")[2] != TRACEPARENT.split("-")[2]


async def test_an_unavailable_service_is_asked_again(datasets: Any, servicer: Datasets) -> None:
    branch = await datasets.GetBranch(messages.GetBranchRequest(name="branches/hiccup"))
    assert branch.name == "branches/hiccup"
    assert servicer.attempts == 3


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    async with open_channel("127.0.0.1:1") as channel:
        stub = dataset_service_pb2_grpc.DatasetServiceStub(channel)
        with pytest.raises(Unavailable):
            await stub.GetBranch(messages.GetBranchRequest(name="branches/tutor"))


async def test_a_unary_call_ends_at_its_default_deadline(server: GrpcServer, servicer: Datasets) -> None:
    async with open_channel(server.target, deadline_seconds=0.2) as channel:
        stub = dataset_service_pb2_grpc.DatasetServiceStub(channel)
        with pytest.raises(Unavailable) as late:
            await stub.GetBranch(messages.GetBranchRequest(name="branches/slow"))
    assert late.value.reason == "DEADLINE_EXCEEDED"
    await asyncio.wait_for(servicer.cancelled.wait(), 5)


async def test_an_oversized_message_is_refused(datasets: Any) -> None:
    with pytest.raises(LimitExceeded):
        await datasets.GetBranch(messages.GetBranchRequest(name="x" * 5 * 1024 * 1024))


async def test_an_oversized_message_from_a_client_without_limits_is_refused(server: GrpcServer) -> None:
    async with grpc.aio.insecure_channel(server.target) as channel:
        stub: Any = dataset_service_pb2_grpc.DatasetServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.GetBranch(messages.GetBranchRequest(name="x" * 5 * 1024 * 1024))
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_method_that_does_not_exist_is_unimplemented(channel: grpc.aio.Channel) -> None:
    call: Callable[..., Any] = channel.unary_unary(f"/{SERVICE}/Nothing", None, None)
    with pytest.raises(FraguaError) as refused:
        await call(b"")
    assert refused.value.reason == "UNIMPLEMENTED"


async def test_a_watcher_that_goes_away_frees_the_server(datasets: Any, servicer: Datasets) -> None:
    versions = datasets.WatchDatasetVersion(messages.WatchDatasetVersionRequest(name=VERSION))
    async for _version in versions:
        versions.cancel()
        break
    await asyncio.wait_for(servicer.cancelled.wait(), 5)


async def test_reflection_lists_the_services(channel: grpc.aio.Channel) -> None:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    question = reflection_pb2.ServerReflectionRequest(list_services="")
    async for answer in stub.ServerReflectionInfo(iter([question])):
        names = {service.name for service in answer.list_services_response.service}
    assert names == {SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}


async def test_health_waits_for_readiness() -> None:
    register = dataset_service_pb2_grpc.add_DatasetServiceServicer_to_server
    async with (
        GrpcServer([GrpcService(register, new_servicer(), SERVICE)]) as server,
        open_channel(server.target) as channel,
    ):
        health: Any = health_pb2_grpc.HealthStub(channel)
        for name in ("", SERVICE):
            assert (await health.Check(health_pb2.HealthCheckRequest(service=name))).status == NOT_SERVING
        await server.set_ready(True)
        for name in ("", SERVICE):
            assert (await health.Check(health_pb2.HealthCheckRequest(service=name))).status == SERVING
        with pytest.raises(NotFound):
            await health.Check(health_pb2.HealthCheckRequest(service="fragua.nothing"))


async def test_a_drain_tells_health_watchers_first(server: GrpcServer, channel: grpc.aio.Channel) -> None:
    health: Any = health_pb2_grpc.HealthStub(channel)
    seen = []

    async def watch() -> None:
        async for answer in health.Watch(health_pb2.HealthCheckRequest(service=SERVICE)):
            seen.append(answer.status)
            begun.set()

    begun = asyncio.Event()
    watching = asyncio.create_task(watch())
    await asyncio.wait_for(begun.wait(), 5)
    await server.stop()
    with pytest.raises(Unavailable):
        await watching
    assert seen == [SERVING, NOT_SERVING]


async def test_a_drain_ends_watches_and_tells_their_clients_to_come_back(
    server: GrpcServer, servicer: Datasets, datasets: Any
) -> None:
    stopping = None
    with pytest.raises(Unavailable, match="draining") as ended:
        async for _version in datasets.WatchDatasetVersion(messages.WatchDatasetVersionRequest(name=VERSION)):
            stopping = asyncio.create_task(server.stop())
    assert ended.value.reason == "DRAINING"
    assert servicer.cancelled.is_set()
    assert stopping is not None
    await asyncio.wait_for(stopping, 5)


async def test_a_running_call_finishes_within_the_grace_of_a_drain() -> None:
    servicer = new_servicer()
    async with serving(servicer, drain_seconds=10) as server, open_channel(server.target) as channel:
        stub: Any = dataset_service_pb2_grpc.DatasetServiceStub(channel)
        answer = asyncio.ensure_future(stub.GetBranch(messages.GetBranchRequest(name="branches/slow")))
        await asyncio.wait_for(servicer.arrived.wait(), 5)
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0.2)
        servicer.release.set()
        assert (await answer).name == "branches/slow"
        await asyncio.wait_for(stopping, 5)


async def test_a_call_that_outlasts_the_grace_is_cut() -> None:
    servicer = new_servicer()
    async with serving(servicer, drain_seconds=0.2) as server, open_channel(server.target) as channel:
        stub: Any = dataset_service_pb2_grpc.DatasetServiceStub(channel)
        answer = asyncio.ensure_future(stub.GetBranch(messages.GetBranchRequest(name="branches/slow")))
        await asyncio.wait_for(servicer.arrived.wait(), 5)
        await asyncio.wait_for(server.stop(), 5)
        with pytest.raises(Unavailable):
            await answer
        assert servicer.cancelled.is_set()


async def test_a_port_in_use_is_named(server: GrpcServer) -> None:
    with pytest.raises(FailedPrecondition, match=f"cannot listen on 127.0.0.1:{server.port}"):
        await GrpcServer([], port=server.port).start()


async def test_with_a_client_authority_only_its_clients_get_in(tmp_path: Path) -> None:
    certificate, key = self_signed_certificate(tmp_path)
    tls = ServerTls(certificate, key, client_authority=certificate)
    request = messages.GetBranchRequest(name="branches/tutor")
    async with serving(new_servicer(), host="localhost", tls=tls, drain_seconds=0.5) as server:
        async with open_channel(server.target, tls=ChannelTls(certificate, certificate, key)) as channel:
            assert await dataset_service_pb2_grpc.DatasetServiceStub(channel).GetBranch(request)
        async with open_channel(server.target, tls=ChannelTls(certificate)) as channel:
            with pytest.raises(Unavailable):
                await dataset_service_pb2_grpc.DatasetServiceStub(channel).GetBranch(request)


def self_signed_certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "tls.crt", folder / "tls.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    return certificate, key
