"""The one place that picks the dataset service's adapters and wires them."""

from __future__ import annotations

from pathlib import Path

from fragua.dataset.v1 import dataset_service_pb2_grpc
from fragua_dataset.adapters.branches import BranchTable
from fragua_dataset.adapters.tables import metadata
from fragua_dataset.adapters.versions import VersionTable
from fragua_dataset.api.servicer import DatasetServicer
from fragua_dataset.application.branches import BranchDirectory
from fragua_dataset.application.imports import Imports
from fragua_dataset.application.versions import Versions
from fragua_dataset.settings import DatasetSettings
from fragua_dataset.work import VersionWork
from fragua_platform.events.outbox import Outbox
from fragua_platform.grpc.server import GrpcService
from fragua_platform.jobs.desk import JobDesk
from fragua_platform.jobs.store import JobStore
from fragua_platform.runtime import Resources, Service, ServiceDefinition


def build(settings: DatasetSettings, resources: Resources) -> Service:
    database, store = resources.database, resources.artifacts
    records = VersionTable(Outbox(metadata.tables["outbox"]))
    jobs = JobStore("dataset", metadata, on_change=records.follow)
    desk = JobDesk(database, jobs, kind="version", collection="datasets", max_attempts=settings.max_attempts)
    branches = BranchDirectory(database, BranchTable())
    versions = Versions(database, jobs, desk, branches, records, store)
    imports = Imports(versions, branches, store, Path(settings.data_dir) / "uploads", settings.max_upload_bytes)
    return Service(
        name="dataset",
        api=[
            GrpcService(
                dataset_service_pb2_grpc.add_DatasetServiceServicer_to_server,
                DatasetServicer(branches, versions, imports),  # type: ignore[abstract]
                "fragua.dataset.v1.DatasetService",
            )
        ],
        jobs=jobs,
        kinds={"version": VersionWork(store)},
    )


DEFINITION = ServiceDefinition(DatasetSettings, metadata, Path(__file__).parent / "migrations", build)
