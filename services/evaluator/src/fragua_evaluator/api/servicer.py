"""The evaluator's gRPC service. Each method parses, calls one use case, and answers with the resource."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from fragua.evaluator.v1 import evaluator_pb2, evaluator_service_pb2, evaluator_service_pb2_grpc
from fragua_evaluator.api.messages import evaluation_to_message, order_from_message
from fragua_evaluator.application import Evaluations
from fragua_platform.jobs.desk import JobDesk
from fragua_platform.paging import page_request

Context = grpc.aio.ServicerContext[Any, Any]


class EvaluatorServicer(evaluator_service_pb2_grpc.EvaluatorServiceServicer):
    def __init__(self, desk: JobDesk, evaluations: Evaluations) -> None:
        self._desk = desk
        self._evaluations = evaluations

    async def CreateEvaluation(
        self, request: evaluator_service_pb2.CreateEvaluationRequest, context: Context
    ) -> evaluator_pb2.Evaluation:
        order = order_from_message(request.evaluation)
        branch = request.parent.removeprefix("branches/")
        job = await self._evaluations.submit(
            branch, order, request_id=request.request_id, validate_only=request.validate_only
        )
        return evaluation_to_message(job)

    async def GetEvaluation(
        self, request: evaluator_service_pb2.GetEvaluationRequest, context: Context
    ) -> evaluator_pb2.Evaluation:
        return evaluation_to_message(await self._desk.get(request.name))

    async def ListEvaluations(
        self, request: evaluator_service_pb2.ListEvaluationsRequest, context: Context
    ) -> evaluator_service_pb2.ListEvaluationsResponse:
        page = page_request(request.page_size, request.page_token, key_length=2)
        jobs = await self._desk.list(request.parent.removeprefix("branches/"), page)
        return evaluator_service_pb2.ListEvaluationsResponse(
            evaluations=[evaluation_to_message(job) for job in jobs.items], next_page_token=jobs.next_token
        )

    async def WatchEvaluation(
        self, request: evaluator_service_pb2.WatchEvaluationRequest, context: Context
    ) -> AsyncIterator[evaluator_pb2.Evaluation]:
        async for job in self._desk.watch(request.name):
            yield evaluation_to_message(job)

    async def CancelEvaluation(
        self, request: evaluator_service_pb2.CancelEvaluationRequest, context: Context
    ) -> evaluator_pb2.Evaluation:
        return evaluation_to_message(await self._desk.cancel(request.name))

    async def PauseEvaluation(
        self, request: evaluator_service_pb2.PauseEvaluationRequest, context: Context
    ) -> evaluator_pb2.Evaluation:
        return evaluation_to_message(await self._desk.pause(request.name))

    async def ResumeEvaluation(
        self, request: evaluator_service_pb2.ResumeEvaluationRequest, context: Context
    ) -> evaluator_pb2.Evaluation:
        return evaluation_to_message(await self._desk.resume(request.name))
