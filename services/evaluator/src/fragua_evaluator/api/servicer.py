"""The evaluator's gRPC service. Each method parses, calls one use case, and answers with the resource."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from fragua.evaluator.v1 import evaluator_pb2, evaluator_service_pb2, evaluator_service_pb2_grpc
from fragua_evaluator.api.catalog_calls import CatalogCalls
from fragua_evaluator.api.decision_calls import DecisionCalls
from fragua_evaluator.api.file_calls import FileCalls
from fragua_evaluator.api.messages import evaluation_to_message
from fragua_evaluator.api.orders import order_from_message
from fragua_evaluator.application.decisions import Decisions
from fragua_evaluator.application.downloads import Downloads
from fragua_evaluator.application.evaluations import Evaluations
from fragua_evaluator.application.outputs import OutputUploads
from fragua_evaluator.application.records import Records
from fragua_evaluator.application.votes import Votes
from fragua_platform.jobs.desk import JobDesk
from fragua_platform.jobs.job import Job
from fragua_platform.paging import page_request

Context = grpc.aio.ServicerContext[Any, Any]


class EvaluatorServicer(CatalogCalls, DecisionCalls, FileCalls, evaluator_service_pb2_grpc.EvaluatorServiceServicer):
    def __init__(
        self,
        desk: JobDesk,
        records: Records,
        evaluations: Evaluations,
        decisions: Decisions,
        votes: Votes,
        uploads: OutputUploads,
        downloads: Downloads,
    ) -> None:
        self._desk = desk
        self._records = records
        self._evaluations = evaluations
        self._decisions = decisions
        self._votes = votes
        self._uploads = uploads
        self._downloads = downloads

    async def CreateEvaluation(
        self, request: evaluator_service_pb2.CreateEvaluationRequest, context: Context
    ) -> evaluator_pb2.Evaluation:
        order = order_from_message(request.evaluation)
        branch = request.parent.removeprefix("branches/")
        job = await self._evaluations.submit(
            branch, order, request_id=request.request_id, validate_only=request.validate_only
        )
        return await self._answer(job)

    async def GetEvaluation(
        self, request: evaluator_service_pb2.GetEvaluationRequest, context: Context
    ) -> evaluator_pb2.Evaluation:
        return await self._answer(await self._desk.get(request.name))

    async def ListEvaluations(
        self, request: evaluator_service_pb2.ListEvaluationsRequest, context: Context
    ) -> evaluator_service_pb2.ListEvaluationsResponse:
        page = page_request(request.page_size, request.page_token, key_length=2)
        jobs = await self._desk.list(request.parent.removeprefix("branches/"), page)
        records = await self._records.of_all(jobs.items)
        return evaluator_service_pb2.ListEvaluationsResponse(
            evaluations=[evaluation_to_message(record) for record in records], next_page_token=jobs.next_token
        )

    async def WatchEvaluation(
        self, request: evaluator_service_pb2.WatchEvaluationRequest, context: Context
    ) -> AsyncIterator[evaluator_pb2.Evaluation]:
        async for job in self._desk.watch(request.name):
            yield await self._answer(job)

    async def CancelEvaluation(
        self, request: evaluator_service_pb2.CancelEvaluationRequest, context: Context
    ) -> evaluator_pb2.Evaluation:
        return await self._answer(await self._desk.cancel(request.name))

    async def PauseEvaluation(
        self, request: evaluator_service_pb2.PauseEvaluationRequest, context: Context
    ) -> evaluator_pb2.Evaluation:
        return await self._answer(await self._desk.pause(request.name))

    async def ResumeEvaluation(
        self, request: evaluator_service_pb2.ResumeEvaluationRequest, context: Context
    ) -> evaluator_pb2.Evaluation:
        return await self._answer(await self._desk.resume(request.name))

    async def _answer(self, job: Job) -> evaluator_pb2.Evaluation:
        return evaluation_to_message(await self._records.of(job))
