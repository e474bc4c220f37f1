"""The calls about estimates of training jobs."""

from __future__ import annotations

from typing import Any

import grpc

from fragua.trainer.v1 import trainer_pb2, trainer_service_pb2
from fragua_trainer.api.training_messages import order_from_message
from fragua_trainer.domain.estimate import Estimate
from fragua_trainer.estimates import Estimates


class EstimateCalls:
    _estimates: Estimates

    async def EstimateTrainingJob(
        self, request: trainer_service_pb2.EstimateTrainingJobRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> trainer_pb2.TrainingEstimate:
        order = order_from_message(request.training_job)
        branch = request.parent.removeprefix("branches/")
        return _estimate_to_message(await self._estimates.estimate(branch, order, measure=request.measure))


def _estimate_to_message(estimate: Estimate) -> trainer_pb2.TrainingEstimate:
    return trainer_pb2.TrainingEstimate(
        trainable_parameters=estimate.trainable_parameters,
        base_parameters=estimate.base_parameters,
        targets=[trainer_pb2.TargetMatch(**match.model_dump()) for match in estimate.targets],
        mask=trainer_pb2.MaskProof(**estimate.mask.model_dump()),
        tokens_per_epoch=estimate.tokens_per_epoch,
        steps=estimate.steps,
        memory_bytes=estimate.memory_bytes,
        disk_bytes=estimate.disk_bytes,
        seconds_per_step=estimate.seconds_per_step,
        seconds=estimate.seconds,
        notices=estimate.notices,
    )
