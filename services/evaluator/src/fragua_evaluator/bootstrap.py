"""The one place that picks the evaluator's adapters and wires them."""

from __future__ import annotations

from pathlib import Path

from fragua.evaluator.v1 import evaluator_service_pb2_grpc
from fragua_evaluator.adapters.clients import DatasetClient, ExporterClient, TrainerClient
from fragua_evaluator.adapters.decisions import DecisionTable, VoteTable
from fragua_evaluator.adapters.results import keep_result
from fragua_evaluator.adapters.tables import metadata
from fragua_evaluator.api.servicer import EvaluatorServicer
from fragua_evaluator.application.decisions import Decisions
from fragua_evaluator.application.downloads import Downloads
from fragua_evaluator.application.evaluations import Evaluations
from fragua_evaluator.application.models import ModelFinder
from fragua_evaluator.application.outputs import OutputUploads
from fragua_evaluator.application.records import Records
from fragua_evaluator.application.votes import Votes
from fragua_evaluator.reactions import reactions
from fragua_evaluator.settings import EvaluatorSettings
from fragua_evaluator.work import EvaluationWork
from fragua_platform.grpc.client import open_channel
from fragua_platform.grpc.server import GrpcService
from fragua_platform.jobs.desk import JobDesk
from fragua_platform.jobs.store import JobStore
from fragua_platform.runtime import Resources, Service, ServiceDefinition


def build(settings: EvaluatorSettings, resources: Resources) -> Service:
    database, store = resources.database, resources.artifacts
    jobs = JobStore("evaluator", metadata, on_change=keep_result, limits=settings.branch_limits)
    desk = JobDesk(database, jobs, kind="evaluation", collection="evaluations", max_attempts=settings.max_attempts)
    trainer = TrainerClient(open_channel(settings.trainer_endpoint, tls=settings.channel_tls))
    datasets = DatasetClient(open_channel(settings.dataset_endpoint, tls=settings.channel_tls))
    exporter = ExporterClient(open_channel(settings.exporter_endpoint, tls=settings.channel_tls))
    models = ModelFinder(trainer, exporter, store, settings.allowed_endpoints)
    evaluations = Evaluations(desk, models, datasets, settings.allowed_metrics)
    decision_table, vote_table = DecisionTable(), VoteTable()
    servicer = EvaluatorServicer(
        desk,
        Records(database, decision_table),
        evaluations,
        Decisions(desk, database, decision_table, vote_table, settings.overriders),
        Votes(desk, database, vote_table),
        OutputUploads(store, settings.data_dir / "uploads", settings.max_outputs_bytes),
        Downloads(desk, store),
    )
    cache = settings.data_dir / "responses" if settings.response_cache_mib else None
    return Service(
        name="evaluator",
        api=[
            GrpcService(
                evaluator_service_pb2_grpc.add_EvaluatorServiceServicer_to_server,
                servicer,
                "fragua.evaluator.v1.EvaluatorService",
            )
        ],
        jobs=jobs,
        kinds={"evaluation": EvaluationWork(store, cache, settings.response_cache_mib)},
        reactions=reactions(evaluations),
    )


DEFINITION = ServiceDefinition(EvaluatorSettings, metadata, Path(__file__).parent / "migrations", build)
