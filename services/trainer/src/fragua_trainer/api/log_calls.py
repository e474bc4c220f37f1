"""The call that streams what a training job says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from fragua.trainer.v1 import trainer_service_pb2
from fragua_trainer.logs import Logs


class LogCalls:
    _logs: Logs

    async def StreamTrainingLogs(
        self, request: trainer_service_pb2.StreamTrainingLogsRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[trainer_service_pb2.StreamTrainingLogsResponse]:
        async for line in self._logs.stream(request.name, follow=not request.no_follow):
            yield trainer_service_pb2.StreamTrainingLogsResponse(attempt=line.attempt, line=line.text)
