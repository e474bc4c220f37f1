"""The one place that picks the dataset service's adapters and wires them."""

from __future__ import annotations

import os
from pathlib import Path

from fragua.dataset.v1 import dataset_service_pb2_grpc, feedback_service_pb2_grpc, trigger_service_pb2_grpc
from fragua_dataset.adapters.attempts import AttemptTable
from fragua_dataset.adapters.branches import BranchTable
from fragua_dataset.adapters.consolidations import ConsolidationTable
from fragua_dataset.adapters.policies import PolicyTable
from fragua_dataset.adapters.ratings import RatingTable
from fragua_dataset.adapters.tables import metadata
from fragua_dataset.adapters.triggers import TriggerTable
from fragua_dataset.adapters.versions import VersionTable
from fragua_dataset.api.feedback_servicer import FeedbackServicer
from fragua_dataset.api.servicer import DatasetServicer
from fragua_dataset.api.trigger_servicer import TriggerServicer
from fragua_dataset.application.branches import BranchDirectory
from fragua_dataset.application.consolidation import Consolidations
from fragua_dataset.application.conversions import Conversions
from fragua_dataset.application.derivations import Derivations
from fragua_dataset.application.diffs import Diffs
from fragua_dataset.application.downloads import Downloads
from fragua_dataset.application.feedback import Feedback
from fragua_dataset.application.importable_objects import ImportableObjects, StorePlace
from fragua_dataset.application.imports import Imports
from fragua_dataset.application.policies import Policies, packaged_policy
from fragua_dataset.application.review import Reviews
from fragua_dataset.application.row_files import RowFiles
from fragua_dataset.application.rows import Rows
from fragua_dataset.application.scheduler import Scheduler
from fragua_dataset.application.synthesis import Syntheses
from fragua_dataset.application.treatment import Treatments
from fragua_dataset.application.triggers import Triggers
from fragua_dataset.application.uploads import Uploads
from fragua_dataset.application.verification import Verifications
from fragua_dataset.application.versions import Versions
from fragua_dataset.conversion_work import ConversionWork
from fragua_dataset.reactions import reactions
from fragua_dataset.settings import DatasetSettings
from fragua_dataset.synthesis_work import SynthesisWork
from fragua_dataset.work import VersionWork
from fragua_platform.events.outbox import Outbox
from fragua_platform.grpc.server import GrpcService
from fragua_platform.jobs.desk import JobDesk
from fragua_platform.jobs.store import JobStore
from fragua_platform.runtime import Resources, Service, ServiceDefinition


def build(settings: DatasetSettings, resources: Resources) -> Service:
    database, store = resources.database, resources.artifacts
    outbox = Outbox(metadata.tables["outbox"])
    records = VersionTable(outbox)
    jobs = JobStore("dataset", metadata, on_change=records.follow, limits=settings.branch_limits)
    desk, conversion_desk, synthesis_desk = (
        JobDesk(database, jobs, kind=kind, collection="datasets", max_attempts=settings.max_attempts)
        for kind in ("version", "conversion", "synthesis")
    )
    branches = BranchDirectory(database, BranchTable())
    versions = Versions(database, jobs, desk, branches, records, store)
    policies = Policies(database, PolicyTable(packaged_policy()))
    treatments = Treatments(store, policies.policy_of)
    data_dir = Path(settings.data_dir)
    uploads = Uploads(store, data_dir / "uploads", settings.max_upload_bytes)
    objects = ImportableObjects(
        store, StorePlace.of(settings.artifacts_url), settings.import_folders, settings.max_upload_bytes
    )
    conversions = Conversions(conversion_desk, versions)
    row_files = RowFiles(store, data_dir / "rows", settings.max_row_file_bytes)
    permissions = settings.synthesis_permissions
    servicer = DatasetServicer(
        branches,
        policies,
        versions,
        Imports(versions, branches, treatments, uploads, objects),
        Derivations(versions, treatments),
        Reviews(database, records, versions),
        Verifications(versions, store, policies.policy_of, data_dir / "verifications"),
        Rows(versions, row_files, store, policies.policy_of),
        Diffs(versions, row_files, data_dir / "rows"),
        conversions,
        Downloads(versions, conversions, store),
        Syntheses(synthesis_desk, versions, treatments, store, permissions),
    )
    attempts = AttemptTable(outbox)
    triggers = Triggers(database, branches, TriggerTable(outbox), attempts)
    consolidations = Consolidations(
        database,
        policies,
        ConsolidationTable(),
        triggers,
        versions,
        treatments,
        store,
        data_dir / "consolidations",
    )
    feedback = Feedback(database, branches, policies, attempts, RatingTable())
    work = VersionWork(database, records, store, settings.max_counterparts, settings.max_counterpart_bytes)
    return Service(
        name="dataset",
        api=[
            GrpcService(
                dataset_service_pb2_grpc.add_DatasetServiceServicer_to_server,
                servicer,
                "fragua.dataset.v1.DatasetService",
            ),
            GrpcService(
                feedback_service_pb2_grpc.add_FeedbackServiceServicer_to_server,
                FeedbackServicer(branches, feedback, consolidations),
                "fragua.dataset.v1.FeedbackService",
            ),
            GrpcService(
                trigger_service_pb2_grpc.add_TriggerServiceServicer_to_server,
                TriggerServicer(triggers),
                "fragua.dataset.v1.TriggerService",
            ),
        ],
        jobs=jobs,
        kinds={
            "version": work,
            "conversion": ConversionWork(store),
            "synthesis": SynthesisWork(work, store, permissions, keys=os.environ),
        },
        reactions=reactions(triggers),
        loops=[Scheduler(branches, consolidations, triggers).run, uploads.collect],
    )


DEFINITION = ServiceDefinition(DatasetSettings, metadata, Path(__file__).parent / "migrations", build)
