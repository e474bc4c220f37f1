"""Traces and metrics: one trace from the first call through every event and job, one set of metrics per process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue
from prometheus_client import Counter, Gauge, Histogram, start_http_server

from fragua_platform.errors import FailedPrecondition

RPC_SECONDS: Final = Histogram(
    "fragua_rpc_seconds", "Duration of gRPC calls until their last byte was handed over", ["service", "method", "code"]
)
JOBS_FINISHED: Final = Counter(
    "fragua_jobs_finished", "Jobs that reached a terminal state, by that state", ["service", "outcome"]
)
"""Counted after the commit by whoever ended the job: mostly a worker, but also a client that cancels what nobody runs,
and the keeper. A process that dies in between leaves one job uncounted."""
JOB_SECONDS: Final = Histogram(
    "fragua_job_seconds",
    "Duration of job attempts, by how they ended",
    ["service", "outcome"],
    buckets=(1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600),
)
JOBS_WAITING: Final = Gauge("fragua_jobs_waiting", "Jobs in the state QUEUED", ["service"])
OUTBOX_PENDING: Final = Gauge("fragua_outbox_pending", "Events written but not yet published", ["service"])
EVENTS_PUBLISHED: Final = Counter("fragua_events_published", "Events handed to the bus", ["service"])
EVENTS_HANDLED: Final = Counter(
    "fragua_events_handled", "Deliveries of events to a subscription, by how they ended", ["subscription", "outcome"]
)

_PROPAGATOR: Final = TraceContextTextMapPropagator()
_TRACER: Final = trace.get_tracer("fragua")


def configure_tracing(service: str) -> None:
    """Give every span real ids; export them when `OTEL_EXPORTER_OTLP_ENDPOINT` says where to.

    The first call of a process counts: when all services share one, so do they this provider. Without an endpoint the
    ids still travel in `traceparent` and stand in the logs.
    """
    if isinstance(trace.get_tracer_provider(), TracerProvider):
        return
    # Resource.create adds OTEL_RESOURCE_ATTRIBUTES; OTEL_SERVICE_NAME, when set, wins over our name.
    resource = Resource.create({} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: f"fragua-{service}"})
    provider = TracerProvider(resource=resource)
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        # Costs 100 ms and more to import, so only for those who export.
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def current_traceparent() -> str:
    """The W3C `traceparent` of the span we are in; empty outside of any."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get("traceparent", "")


@contextmanager
def span_from_traceparent(
    name: str,
    traceparent: str,
    *,
    kind: SpanKind = SpanKind.CONSUMER,
    attributes: Mapping[str, AttributeValue] | None = None,
) -> Iterator[Span]:
    """A span that continues the trace of `traceparent`, or begins a new one where that is empty or malformed."""
    parent = _PROPAGATOR.extract({"traceparent": traceparent} if traceparent else {})
    with _TRACER.start_as_current_span(name, context=parent, kind=kind, attributes=attributes) as span:
        yield span


def serve_metrics(port: int, host: str = "127.0.0.1") -> Callable[[], None]:
    """Answer `GET /metrics` in a thread; call the result to stop. Port 0 means off."""
    if port == 0:
        return lambda: None
    try:
        server, thread = start_http_server(port, addr=host)
    except OSError as taken:
        raise FailedPrecondition(
            f"cannot serve metrics on {host}:{port} ({taken.strerror}): "
            "choose another FRAGUA_METRICS_PORT, or 0 for none"
        ) from taken

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop
