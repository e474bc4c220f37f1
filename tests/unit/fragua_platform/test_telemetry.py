"""Traces go on across processes by their `traceparent`, and metrics can be scraped."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request

import pytest

from fragua_platform.errors import FailedPrecondition
from fragua_platform.telemetry import (
    JOBS_FINISHED,
    configure_tracing,
    current_traceparent,
    serve_metrics,
    span_from_traceparent,
)

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(autouse=True)
def tracing() -> None:
    configure_tracing("test")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_span_continues_the_trace_it_is_given() -> None:
    with span_from_traceparent("work", TRACEPARENT):
        inside = current_traceparent()
    assert inside.split("-")[1] == TRACEPARENT.split("-")[1]
    assert inside.split("-")[2] != TRACEPARENT.split("-")[2]


@pytest.mark.parametrize("traceparent", ["", "nonsense", "00-0-0-0"])
def test_without_a_usable_traceparent_a_trace_begins(traceparent: str) -> None:
    with span_from_traceparent("work", traceparent):
        version, trace_id, span_id, _flags = current_traceparent().split("-")
    assert version == "00" and int(trace_id, 16) and int(span_id, 16)


def test_a_queue_message_does_not_join_the_trace_of_whoever_reads_it() -> None:
    with span_from_traceparent("reader", TRACEPARENT), span_from_traceparent("message", ""):
        assert TRACEPARENT.split("-")[1] not in current_traceparent()


def test_outside_of_any_span_there_is_no_traceparent() -> None:
    assert current_traceparent() == ""


def test_metrics_are_served_until_stopped() -> None:
    port = free_port()
    stop = serve_metrics(port)
    JOBS_FINISHED.labels("trainer", "SUCCEEDED").inc()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            assert b'fragua_jobs_finished_total{outcome="SUCCEEDED",service="trainer"}' in answer.read()
        with pytest.raises(FailedPrecondition, match=f"127.0.0.1:{port}.*FRAGUA_METRICS_PORT"):
            serve_metrics(port)
    finally:
        stop()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5)


def test_port_zero_serves_no_metrics() -> None:
    serve_metrics(0)()
