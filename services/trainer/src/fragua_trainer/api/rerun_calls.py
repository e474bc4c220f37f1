"""The call that trains again what was trained before."""

from __future__ import annotations

from typing import Any

import grpc

from fragua.trainer.v1 import trainer_pb2, trainer_service_pb2
from fragua_trainer.api.training_messages import job_to_message
from fragua_trainer.application import Training
from fragua_trainer.reruns import Reruns


class RerunCalls:
    _training: Training
    _reruns: Reruns

    async def RerunTrainingJob(
        self, request: trainer_service_pb2.RerunTrainingJobRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> trainer_pb2.TrainingJob:
        job = await self._reruns.rerun(request.name, request.dataset_version, request_id=request.request_id)
        return job_to_message(job, await self._training.adapter_of(job))
