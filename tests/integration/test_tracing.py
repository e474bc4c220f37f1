"""A service process whose spans arrive at an OTLP collector, as parts of the trace that its caller began."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from fragua.dataset.v1 import dataset_service_pb2, dataset_service_pb2_grpc
from tests.servers.process import free_port, tell_guard

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
CALLER_SPAN_ID = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE_ID}-{CALLER_SPAN_ID}-01"
CALL = "fragua.dataset.v1.DatasetService/GetBranch"


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps what it is sent: pairs of a service name and a span."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._spans: list[tuple[str, Span]] = []

    def Export(
        self, request: otlp.ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> otlp.ExportTraceServiceResponse:
        with self._news:
            for batch in request.resource_spans:
                attributes = {each.key: each.value.string_value for each in batch.resource.attributes}
                for scope in batch.scope_spans:
                    self._spans += [(attributes["service.name"], span) for span in scope.spans]
            self._news.notify_all()
        return otlp.ExportTraceServiceResponse()

    def spans_named(self, name: str, *, seconds: float) -> list[tuple[str, Span]]:
        """Those that have arrived once there is one; none when the time is over."""

        def arrived() -> list[tuple[str, Span]]:
            return [(service, span) for service, span in self._spans if span.name == name]

        with self._news:
            return self._news.wait_for(arrived, seconds)


@pytest.fixture
def collector() -> Iterator[tuple[Collector, str]]:
    """A collector and the URL of its endpoint."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield collector, f"http://127.0.0.1:{port}"
    server.stop(None).wait()


@contextmanager
def dataset_service(folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """`python -m fragua_dataset serve`; yields where it answers."""
    port = free_port()
    own = {"FRAGUA_DATA_DIR": str(folder), "FRAGUA_PORT": str(port)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "fragua_dataset", "serve"],
            env=os.environ | own | environment,
            stdout=log,
            stderr=log,
        )
    tell_guard(f"watch {process.pid} {folder}")
    try:
        yield f"127.0.0.1:{port}"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, (folder / "log").read_text()
    finally:
        process.kill()
        process.wait()
        tell_guard(f"forget {process.pid}")


def ask_for_an_unknown_branch(endpoint: str) -> Any:
    """The status code of the answer."""
    with grpc.insecure_channel(endpoint) as channel:
        stub: Any = dataset_service_pb2_grpc.DatasetServiceStub(channel)
        request = dataset_service_pb2.GetBranchRequest(name="branches/antropologia")
        metadata = (("traceparent", TRACEPARENT),)
        call = stub.GetBranch.future(request, metadata=metadata, wait_for_ready=True, timeout=30)
        return call.code()  # waits for the answer


def test_the_span_of_a_call_reaches_the_collector_under_its_service_and_trace(
    collector: tuple[Collector, str], nats_url: str, tmp_path: Path
) -> None:
    spans, url = collector
    environment = {
        "FRAGUA_EVENTS_URL": nats_url,
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    with dataset_service(tmp_path, environment) as endpoint:
        assert ask_for_an_unknown_branch(endpoint) is grpc.StatusCode.NOT_FOUND
        [(service, span)] = spans.spans_named(CALL, seconds=15)

    assert service == "fragua-dataset"
    assert span.kind == Span.SPAN_KIND_SERVER
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE_ID, CALLER_SPAN_ID)
    attributes = {each.key: each.value for each in span.attributes}
    assert attributes["rpc.method"].string_value == "GetBranch"
    assert attributes["rpc.grpc.status_code"].int_value == grpc.StatusCode.NOT_FOUND.value[0]


def test_what_was_not_sent_yet_is_sent_when_the_service_stops(
    collector: tuple[Collector, str], nats_url: str, tmp_path: Path
) -> None:
    spans, url = collector
    an_hour = "3600000"
    environment = {
        "FRAGUA_EVENTS_URL": nats_url,
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_BSP_SCHEDULE_DELAY": an_hour,
        "OTEL_SERVICE_NAME": "datos",
    }
    with dataset_service(tmp_path, environment) as endpoint:
        ask_for_an_unknown_branch(endpoint)
        assert spans.spans_named(CALL, seconds=0.5) == []

    [(service, _span)] = spans.spans_named(CALL, seconds=5)
    assert service == "datos"
