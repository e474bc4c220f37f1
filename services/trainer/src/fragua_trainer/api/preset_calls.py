"""The calls about training presets."""

from __future__ import annotations

from typing import Any

import grpc

from fragua.trainer.v1 import trainer_service_pb2
from fragua_trainer.api.training_messages import preset_to_message
from fragua_trainer.presets import presets


class PresetCalls:
    async def ListTrainingPresets(
        self, request: trainer_service_pb2.ListTrainingPresetsRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> trainer_service_pb2.ListTrainingPresetsResponse:
        return trainer_service_pb2.ListTrainingPresetsResponse(
            training_presets=[preset_to_message(preset) for preset in presets().values()]
        )
