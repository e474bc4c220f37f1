"""The one place that picks the dataset service's adapters and wires them."""

from __future__ import annotations

from pathlib import Path

from fragua.dataset.v1 import dataset_service_pb2_grpc
from fragua_dataset.adapters.branches import BranchTable
from fragua_dataset.adapters.tables import metadata
from fragua_dataset.api.servicer import DatasetServicer
from fragua_dataset.application import BranchDirectory, Datasets
from fragua_dataset.settings import DatasetSettings
from fragua_dataset.work import ImportWork, tell_outcome
from fragua_platform.grpc.server import GrpcService
from fragua_platform.jobs.desk import JobDesk
from fragua_platform.jobs.store import JobStore
from fragua_platform.runtime import Resources, Service, ServiceDefinition


def build(settings: DatasetSettings, resources: Resources) -> Service:
    database, store = resources.database, resources.artifacts
    jobs = JobStore("dataset", metadata, on_change=tell_outcome)
    desk = JobDesk(database, jobs, kind="import", collection="imports", max_attempts=settings.max_attempts)
    branches = BranchDirectory(database, BranchTable())
    uploads = Path(settings.data_dir) / "uploads"
    datasets = Datasets(database, jobs, desk, branches, store, uploads, settings.max_upload_bytes)
    return Service(
        name="dataset",
        api=[
            GrpcService(
                dataset_service_pb2_grpc.add_DatasetServiceServicer_to_server,
                DatasetServicer(branches, datasets, desk),
                "fragua.dataset.v1.DatasetService",
            )
        ],
        jobs=jobs,
        kinds={"import": ImportWork(store)},
    )


DEFINITION = ServiceDefinition(DatasetSettings, metadata, Path(__file__).parent / "migrations", build)
