"""The one place that picks the evaluator's adapters and wires them."""

from __future__ import annotations

from pathlib import Path

from fragua.evaluator.v1 import evaluator_service_pb2_grpc
from fragua_evaluator.adapters.clients import DatasetClient, TrainerClient
from fragua_evaluator.adapters.results import keep_result
from fragua_evaluator.adapters.tables import metadata
from fragua_evaluator.api.servicer import EvaluatorServicer
from fragua_evaluator.application import Evaluations
from fragua_evaluator.reactions import reactions
from fragua_evaluator.settings import EvaluatorSettings
from fragua_evaluator.work import EvaluationWork
from fragua_platform.grpc.client import open_channel
from fragua_platform.grpc.server import GrpcService
from fragua_platform.jobs.desk import JobDesk
from fragua_platform.jobs.store import JobStore
from fragua_platform.runtime import Resources, Service, ServiceDefinition


def build(settings: EvaluatorSettings, resources: Resources) -> Service:
    jobs = JobStore("evaluator", metadata, on_change=keep_result, limits=settings.branch_limits)
    desk = JobDesk(
        resources.database, jobs, kind="evaluation", collection="evaluations", max_attempts=settings.max_attempts
    )
    trainer = TrainerClient(open_channel(settings.trainer_endpoint, tls=settings.channel_tls))
    datasets = DatasetClient(open_channel(settings.dataset_endpoint, tls=settings.channel_tls))
    evaluations = Evaluations(desk, trainer, datasets)
    return Service(
        name="evaluator",
        api=[
            GrpcService(
                evaluator_service_pb2_grpc.add_EvaluatorServiceServicer_to_server,
                EvaluatorServicer(desk, evaluations),
                "fragua.evaluator.v1.EvaluatorService",
            )
        ],
        jobs=jobs,
        kinds={"evaluation": EvaluationWork(resources.artifacts)},
        reactions=reactions(evaluations),
    )


DEFINITION = ServiceDefinition(EvaluatorSettings, metadata, Path(__file__).parent / "migrations", build)
