"""The exporter's own table: one row per published GGUF file."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.engine import Connection

from fragua.exporter.v1 import exporter_events_pb2
from fragua_exporter.adapters.tables import exports
from fragua_exporter.domain.export_order import ResolvedOrder
from fragua_exporter.work import bundle_of, files_of
from fragua_platform.events.cloudevents import CloudEvent, new_event
from fragua_platform.jobs.job import Job
from fragua_platform.messages import bundle_to_message


def keep_result(connection: Connection, job: Job) -> Sequence[CloudEvent]:
    """The job store's `on_change`: a finished export gets its rows and tells where its files lie."""
    bundle = bundle_of(job)
    if bundle is None:
        return []
    adapter = ResolvedOrder.model_validate(job.spec).order.adapter
    for file in files_of(job):
        connection.execute(
            exports.insert().values(
                name=job.name,
                file=file.file,
                branch=job.branch,
                adapter=adapter,
                quantization=file.quantization.value,
                size=file.bytes,
                sha256=file.sha256,
                published=job.ended,
            )
        )
    message = exporter_events_pb2.ExportPublished(
        export=job.name, branch=job.branch, adapter=adapter, bundle=bundle_to_message(bundle)
    )
    return [new_event(job.branch, "exporter", "export", "published", message, traceparent=job.traceparent)]
