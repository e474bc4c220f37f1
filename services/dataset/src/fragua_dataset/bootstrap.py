"""The one place that picks the dataset service's adapters and wires them."""

from __future__ import annotations

from pathlib import Path

import yaml

from fragua.dataset.v1 import dataset_service_pb2_grpc
from fragua_dataset.adapters.branches import BranchTable
from fragua_dataset.adapters.tables import metadata
from fragua_dataset.adapters.versions import VersionTable
from fragua_dataset.api.servicer import DatasetServicer
from fragua_dataset.application.branches import BranchDirectory
from fragua_dataset.application.derivations import Derivations
from fragua_dataset.application.imports import Imports
from fragua_dataset.application.review import Reviews
from fragua_dataset.application.treatment import Treatments
from fragua_dataset.application.verification import Verifications
from fragua_dataset.application.versions import Versions
from fragua_dataset.domain.policy import BranchPolicy
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
    data_dir = Path(settings.data_dir)

    policy = (Path(__file__).parent / "policies/default.yaml").read_text("utf-8")

    async def policy_of(_branch: str) -> BranchPolicy:
        return BranchPolicy.model_validate(yaml.safe_load(policy))

    treatments = Treatments(store, policy_of)
    servicer = DatasetServicer(  # type: ignore[abstract]
        branches,
        versions,
        Imports(versions, branches, treatments, store, data_dir / "uploads", settings.max_upload_bytes),
        Derivations(versions, treatments),
        Reviews(database, records, versions),
        Verifications(versions, store, policy_of, data_dir / "verifications"),
    )
    work = VersionWork(database, records, store, settings.max_counterparts, settings.max_counterpart_bytes)
    return Service(
        name="dataset",
        api=[
            GrpcService(
                dataset_service_pb2_grpc.add_DatasetServiceServicer_to_server,
                servicer,
                "fragua.dataset.v1.DatasetService",
            )
        ],
        jobs=jobs,
        kinds={"version": work},
    )


DEFINITION = ServiceDefinition(DatasetSettings, metadata, Path(__file__).parent / "migrations", build)
