"""The one place that picks the trainer's adapters and wires them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.engine import Connection

from fragua.trainer.v1 import trainer_service_pb2_grpc
from fragua_platform.events.cloudevents import CloudEvent
from fragua_platform.events.outbox import Inbox
from fragua_platform.grpc.client import open_channel
from fragua_platform.grpc.server import GrpcService
from fragua_platform.jobs.desk import JobDesk
from fragua_platform.jobs.job import Job
from fragua_platform.jobs.store import JobStore
from fragua_platform.runtime import Resources, Service, ServiceDefinition
from fragua_trainer.adapters.dataset_client import DatasetClient
from fragua_trainer.adapters.hub import Hub
from fragua_trainer.adapters.log_lines import LogLines
from fragua_trainer.adapters.mlflow_runs import MlflowRuns
from fragua_trainer.adapters.registry import Registry
from fragua_trainer.adapters.tables import metadata
from fragua_trainer.api.servicer import TrainerServicer
from fragua_trainer.application import Adapters, Training
from fragua_trainer.base_models import BaseModels
from fragua_trainer.estimates import Estimates
from fragua_trainer.logs import Logs
from fragua_trainer.mirror import Mirror
from fragua_trainer.reactions import reactions
from fragua_trainer.reruns import Reruns
from fragua_trainer.settings import TrainerSettings
from fragua_trainer.work import TrainingWork


def build(settings: TrainerSettings, resources: Resources) -> Service:
    database, store = resources.database, resources.artifacts
    registry, log_lines = Registry(), LogLines()
    runs = MlflowRuns(settings.mlflow_tracking_uri) if settings.mlflow_tracking_uri else None

    def follow(connection: Connection, job: Job) -> Sequence[CloudEvent]:
        events = registry.follow(connection, job)
        if runs is not None:
            runs.follow(job)
        return events

    jobs = JobStore("trainer", metadata, on_change=follow, limits=settings.branch_limits)
    desk = JobDesk(database, jobs, kind="training", collection="trainingJobs", max_attempts=settings.max_attempts)
    datasets = DatasetClient(open_channel(settings.dataset_endpoint, tls=settings.channel_tls))
    training = Training(database, desk, registry, datasets)
    directory = Path(settings.data_dir)
    base_models = BaseModels(database, registry, store, directory / "uploads", settings.max_base_model_bytes)
    servicer = TrainerServicer(
        desk,
        training,
        Adapters(database, registry),
        base_models,
        Estimates(training, store, directory / "estimates", settings.max_estimate_seconds),
        Mirror(base_models, Hub(settings.hub_endpoint), directory / "mirrored", settings.max_base_model_bytes),
        Reruns(desk, training),
        Logs(database, desk, log_lines),
    )
    return Service(
        name="trainer",
        api=[
            GrpcService(
                trainer_service_pb2_grpc.add_TrainerServiceServicer_to_server,
                servicer,
                "fragua.trainer.v1.TrainerService",
            )
        ],
        jobs=jobs,
        kinds={"training": TrainingWork(database, store, registry, registry, log_lines, runs)},
        reactions=reactions(database, Inbox(metadata.tables["inbox"]), registry),
    )


DEFINITION = ServiceDefinition(TrainerSettings, metadata, Path(__file__).parent / "migrations", build)
