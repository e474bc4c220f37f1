"""The feedback service over gRPC: attempts, progress, ratings, consolidation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from fragua.dataset.v1 import feedback_pb2, feedback_service_pb2, feedback_service_pb2_grpc
from fragua_dataset.api.feedback_messages import (
    attempts_from_batch,
    exercise_type_of,
    progress_to_message,
    rating_to_message,
    tally_to_message,
)
from fragua_dataset.api.version_messages import version_to_message
from fragua_dataset.application.branches import BranchDirectory
from fragua_dataset.application.consolidation import Consolidations
from fragua_dataset.application.feedback import Feedback
from fragua_dataset.domain.attempts import Tally
from fragua_platform.errors import InvalidInput, Violation

Context = grpc.aio.ServicerContext[Any, Any]


class FeedbackServicer(feedback_service_pb2_grpc.FeedbackServiceServicer):
    def __init__(self, branches: BranchDirectory, feedback: Feedback, consolidations: Consolidations) -> None:
        self._branches = branches
        self._feedback = feedback
        self._consolidations = consolidations

    async def IngestAttempts(
        self, request_iterator: AsyncIterator[feedback_service_pb2.IngestAttemptsRequest], context: Context
    ) -> feedback_service_pb2.IngestAttemptsResponse:
        first = await anext(aiter(request_iterator), None)
        if first is None or first.WhichOneof("payload") != "header":
            raise InvalidInput("no header", violations=[Violation("header", "must be the first message of the stream")])
        branch = (await self._branches.get(first.header.parent.removeprefix("branches/"))).id
        tally = Tally()
        async for request in request_iterator:
            if request.WhichOneof("payload") != "batch":
                raise InvalidInput("two headers", violations=[Violation("header", "must come once, first")])
            tally += await self._feedback.take_in(branch, attempts_from_batch(request.batch))
        return tally_to_message(tally)

    async def GetBranchProgress(
        self, request: feedback_service_pb2.GetBranchProgressRequest, context: Context
    ) -> feedback_pb2.BranchProgress:
        return progress_to_message(await self._feedback.progress(request.name.split("/")[1]))

    async def RateOutput(
        self, request: feedback_service_pb2.RateOutputRequest, context: Context
    ) -> feedback_pb2.OutputRating:
        asked = request.output_rating
        rating = await self._feedback.rate(
            request.parent.removeprefix("branches/"),
            concept=asked.concept,
            output=asked.output,
            rating=asked.rating,
            model=asked.model,
            request_id=request.request_id,
        )
        return rating_to_message(rating)

    async def ConsolidateSamples(
        self, request: feedback_service_pb2.ConsolidateSamplesRequest, context: Context
    ) -> feedback_service_pb2.ConsolidateSamplesResponse:
        branch = request.parent.removeprefix("branches/")
        exercise_type = exercise_type_of(request.exercise_type)
        versions = await self._consolidations.on_request(branch, exercise_type, request.request_id)
        return feedback_service_pb2.ConsolidateSamplesResponse(
            dataset_versions=[version_to_message(version) for version in versions]
        )
