"""The one place that picks the exporter's adapters and wires them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from fragua.exporter.v1 import exporter_service_pb2_grpc
from fragua_exporter.adapters.clients import DatasetClient, TrainerClient
from fragua_exporter.adapters.ollama import Ollama
from fragua_exporter.adapters.publications import PublicationTable
from fragua_exporter.adapters.results import keep_result
from fragua_exporter.adapters.tables import metadata
from fragua_exporter.api.servicer import ExporterServicer
from fragua_exporter.application.downloads import Downloads
from fragua_exporter.application.exports import Exports
from fragua_exporter.application.publishing import Publishing
from fragua_exporter.settings import ExporterSettings
from fragua_exporter.work import ExportWork
from fragua_platform.grpc.client import open_channel
from fragua_platform.grpc.server import GrpcService
from fragua_platform.jobs.desk import JobDesk
from fragua_platform.jobs.store import JobStore
from fragua_platform.runtime import Resources, Service, ServiceDefinition


def build(settings: ExporterSettings, resources: Resources) -> Service:
    jobs = JobStore("exporter", metadata, on_change=keep_result)
    desk = JobDesk(resources.database, jobs, kind="export", collection="exports", max_attempts=settings.max_attempts)
    trainer = TrainerClient(open_channel(settings.trainer_endpoint, tls=settings.channel_tls))
    datasets = DatasetClient(open_channel(settings.dataset_endpoint, tls=settings.channel_tls))
    downloads = Downloads(desk, resources.artifacts, timedelta(seconds=settings.download_link_seconds))
    publishing = Publishing(
        desk, resources.artifacts, Ollama(settings.ollama_url), PublicationTable(resources.database)
    )
    return Service(
        name="exporter",
        api=[
            GrpcService(
                exporter_service_pb2_grpc.add_ExporterServiceServicer_to_server,
                ExporterServicer(desk, Exports(desk, trainer, datasets), downloads, publishing),
                "fragua.exporter.v1.ExporterService",
            )
        ],
        jobs=jobs,
        kinds={"export": ExportWork(resources.artifacts)},
    )


DEFINITION = ServiceDefinition(ExporterSettings, metadata, Path(__file__).parent / "migrations", build)
