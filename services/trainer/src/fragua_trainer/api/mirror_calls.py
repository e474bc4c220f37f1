"""The calls that fetch base models from a hub."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from fragua.trainer.v1 import trainer_service_pb2
from fragua_trainer.api.messages import base_model_to_message
from fragua_trainer.domain.registry import BaseModel
from fragua_trainer.mirror import Mirror


class MirrorCalls:
    _mirror: Mirror

    async def MirrorBaseModel(
        self, request: trainer_service_pb2.MirrorBaseModelRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[trainer_service_pb2.MirrorBaseModelResponse]:
        steps = self._mirror.fetch(request.model_id, request.hub_id, request.revision, request.token_variable)
        async for step in steps:
            if isinstance(step, BaseModel):
                yield trainer_service_pb2.MirrorBaseModelResponse(phase="done", base_model=base_model_to_message(step))
            else:
                yield trainer_service_pb2.MirrorBaseModelResponse(
                    phase=step.phase, received_bytes=step.received_bytes, total_bytes=step.total_bytes
                )
