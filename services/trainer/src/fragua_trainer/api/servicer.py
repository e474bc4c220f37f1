"""The trainer's gRPC service. Each method parses, calls one use case, and answers with the resource."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from fragua.trainer.v1 import trainer_pb2, trainer_service_pb2, trainer_service_pb2_grpc
from fragua_platform.errors import InvalidInput, Violation
from fragua_platform.jobs.desk import JobDesk
from fragua_platform.jobs.job import Job
from fragua_platform.paging import page_request
from fragua_trainer.api.estimate_calls import EstimateCalls
from fragua_trainer.api.log_calls import LogCalls
from fragua_trainer.api.messages import (
    adapter_to_message,
    base_model_to_message,
    metric_to_message,
)
from fragua_trainer.api.mirror_calls import MirrorCalls
from fragua_trainer.api.preset_calls import PresetCalls
from fragua_trainer.api.rerun_calls import RerunCalls
from fragua_trainer.api.training_messages import job_to_message, order_from_message
from fragua_trainer.application import Adapters, Training
from fragua_trainer.base_models import BaseModels, FileAnnounced
from fragua_trainer.estimates import Estimates
from fragua_trainer.logs import Logs
from fragua_trainer.mirror import Mirror
from fragua_trainer.reruns import Reruns

Context = grpc.aio.ServicerContext[Any, Any]


class TrainerServicer(
    EstimateCalls, LogCalls, MirrorCalls, PresetCalls, RerunCalls, trainer_service_pb2_grpc.TrainerServiceServicer
):
    def __init__(
        self,
        desk: JobDesk,
        training: Training,
        adapters: Adapters,
        base_models: BaseModels,
        estimates: Estimates,
        mirror: Mirror,
        reruns: Reruns,
        logs: Logs,
    ) -> None:
        self._desk = desk
        self._training = training
        self._adapters = adapters
        self._base_models = base_models
        self._estimates = estimates
        self._mirror = mirror
        self._reruns = reruns
        self._logs = logs

    # --- base models

    async def ImportBaseModel(
        self, request_iterator: AsyncIterator[trainer_service_pb2.ImportBaseModelRequest], context: Context
    ) -> trainer_pb2.BaseModel:
        first = await anext(aiter(request_iterator), None)
        if first is None or first.WhichOneof("payload") != "header":
            raise InvalidInput("no header", violations=[Violation("header", "must be the first message of the stream")])
        return base_model_to_message(await self._base_models.receive(first.header.model_id, _parts(request_iterator)))

    async def GetBaseModel(
        self, request: trainer_service_pb2.GetBaseModelRequest, context: Context
    ) -> trainer_pb2.BaseModel:
        return base_model_to_message(await self._base_models.get(request.name))

    async def ListBaseModels(
        self, request: trainer_service_pb2.ListBaseModelsRequest, context: Context
    ) -> trainer_service_pb2.ListBaseModelsResponse:
        page = await self._base_models.list(page_request(request.page_size, request.page_token, key_length=1))
        return trainer_service_pb2.ListBaseModelsResponse(
            base_models=[base_model_to_message(model) for model in page.items], next_page_token=page.next_token
        )

    # --- training jobs

    async def CreateTrainingJob(
        self, request: trainer_service_pb2.CreateTrainingJobRequest, context: Context
    ) -> trainer_pb2.TrainingJob:
        order = order_from_message(request.training_job)
        branch = request.parent.removeprefix("branches/")
        job = await self._training.submit(
            branch,
            order,
            request_id=request.request_id,
            validate_only=request.validate_only,
            priority=request.training_job.priority,
        )
        return job_to_message(job, None) if request.validate_only else await self._message(job)

    async def GetTrainingJob(
        self, request: trainer_service_pb2.GetTrainingJobRequest, context: Context
    ) -> trainer_pb2.TrainingJob:
        return await self._message(await self._desk.get(request.name))

    async def ListTrainingJobs(
        self, request: trainer_service_pb2.ListTrainingJobsRequest, context: Context
    ) -> trainer_service_pb2.ListTrainingJobsResponse:
        page = page_request(request.page_size, request.page_token, key_length=2)
        jobs = await self._desk.list(request.parent.removeprefix("branches/"), page)
        return trainer_service_pb2.ListTrainingJobsResponse(
            training_jobs=[await self._message(job) for job in jobs.items], next_page_token=jobs.next_token
        )

    async def WatchTrainingJob(
        self, request: trainer_service_pb2.WatchTrainingJobRequest, context: Context
    ) -> AsyncIterator[trainer_pb2.TrainingJob]:
        async for job in self._desk.watch(request.name):
            yield await self._message(job)

    async def CancelTrainingJob(
        self, request: trainer_service_pb2.CancelTrainingJobRequest, context: Context
    ) -> trainer_pb2.TrainingJob:
        return await self._message(await self._desk.cancel(request.name))

    async def PauseTrainingJob(
        self, request: trainer_service_pb2.PauseTrainingJobRequest, context: Context
    ) -> trainer_pb2.TrainingJob:
        return await self._message(await self._desk.pause(request.name))

    async def ResumeTrainingJob(
        self, request: trainer_service_pb2.ResumeTrainingJobRequest, context: Context
    ) -> trainer_pb2.TrainingJob:
        return await self._message(await self._desk.resume(request.name))

    async def ListTrainingMetrics(
        self, request: trainer_service_pb2.ListTrainingMetricsRequest, context: Context
    ) -> trainer_service_pb2.ListTrainingMetricsResponse:
        page = page_request(request.page_size, request.page_token, key_length=3)
        metrics = await self._training.metrics(await self._desk.get(request.parent), page)
        return trainer_service_pb2.ListTrainingMetricsResponse(
            metrics=[metric_to_message(metric) for metric in metrics.items], next_page_token=metrics.next_token
        )

    async def _message(self, job: Job) -> trainer_pb2.TrainingJob:
        return job_to_message(job, await self._training.adapter_of(job))

    # --- adapters

    async def GetAdapter(self, request: trainer_service_pb2.GetAdapterRequest, context: Context) -> trainer_pb2.Adapter:
        _, branch, _, number = request.name.split("/")
        return adapter_to_message(await self._adapters.get(branch, int(number)))

    async def ListAdapters(
        self, request: trainer_service_pb2.ListAdaptersRequest, context: Context
    ) -> trainer_service_pb2.ListAdaptersResponse:
        page = page_request(request.page_size, request.page_token, key_length=1)
        adapters = await self._adapters.list(request.parent.removeprefix("branches/"), page)
        return trainer_service_pb2.ListAdaptersResponse(
            adapters=[adapter_to_message(adapter) for adapter in adapters.items], next_page_token=adapters.next_token
        )


async def _parts(
    requests: AsyncIterator[trainer_service_pb2.ImportBaseModelRequest],
) -> AsyncIterator[FileAnnounced | bytes]:
    async for request in requests:
        match request.WhichOneof("payload"):
            case "file":
                yield FileAnnounced(request.file.path, request.file.size_bytes, request.file.sha256)
            case "chunk":
                yield request.chunk
            case _:
                raise InvalidInput("two headers", violations=[Violation("header", "must come once, first")])
