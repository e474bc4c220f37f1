"""The one place that picks the exporter's adapters and wires them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from fragua.exporter.v1 import exporter_service_pb2_grpc
from fragua_exporter.adapters.clients import DatasetClient, TrainerClient
from fragua_exporter.adapters.ollama import Ollama
from fragua_exporter.adapters.publications import PublicationTable
from fragua_exporter.adapters.results import keep_result
from fragua_exporter.adapters.signatures import SignatureTable
from fragua_exporter.adapters.tables import metadata
from fragua_exporter.api.servicer import ExporterServicer
from fragua_exporter.application.downloads import Downloads
from fragua_exporter.application.estimates import Estimates
from fragua_exporter.application.exports import Exports
from fragua_exporter.application.publishing import Publishing
from fragua_exporter.application.records import Records
from fragua_exporter.application.signing import Signing
from fragua_exporter.application.verification import Verifications
from fragua_exporter.settings import ExporterSettings
from fragua_exporter.work import ExportWork
from fragua_platform.grpc.client import open_channel
from fragua_platform.grpc.server import GrpcService
from fragua_platform.jobs.desk import JobDesk
from fragua_platform.jobs.store import JobStore
from fragua_platform.runtime import Resources, Service, ServiceDefinition


def build(settings: ExporterSettings, resources: Resources) -> Service:
    jobs = JobStore("exporter", metadata, on_change=keep_result, limits=settings.branch_limits)
    desk = JobDesk(resources.database, jobs, kind="export", collection="exports", max_attempts=settings.max_attempts)
    trainer = TrainerClient(open_channel(settings.trainer_endpoint, tls=settings.channel_tls))
    datasets = DatasetClient(open_channel(settings.dataset_endpoint, tls=settings.channel_tls))
    exports = Exports(desk, trainer, datasets)
    publications, signatures = PublicationTable(resources.database), SignatureTable()
    signing = Signing(desk, resources.database, signatures)
    servicer = ExporterServicer(
        desk,
        Records(resources.database, signatures, publications),
        exports,
        Estimates(exports, resources.artifacts, settings.data_dir),
        Downloads(desk, resources.artifacts, timedelta(seconds=settings.download_link_seconds)),
        signing,
        Verifications(desk, resources.artifacts, signing),
        Publishing(desk, resources.artifacts, Ollama(settings.ollama_url), publications),
    )
    return Service(
        name="exporter",
        api=[
            GrpcService(
                exporter_service_pb2_grpc.add_ExporterServiceServicer_to_server,
                servicer,
                "fragua.exporter.v1.ExporterService",
            )
        ],
        jobs=jobs,
        kinds={"export": ExportWork(resources.artifacts)},
    )


DEFINITION = ServiceDefinition(ExporterSettings, metadata, Path(__file__).parent / "migrations", build)
