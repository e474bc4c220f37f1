"""Training again what was trained before, on the same or on a newer dataset version."""

from __future__ import annotations

from fragua_platform.jobs.desk import JobDesk
from fragua_platform.jobs.job import Job
from fragua_trainer.application import Training
from fragua_trainer.domain.training_order import ResolvedOrder


class Reruns:
    def __init__(self, desk: JobDesk, training: Training) -> None:
        self._desk = desk
        self._training = training

    async def rerun(self, name: str, dataset_version: str, *, request_id: str) -> Job:
        """A new job with the order of the job `name`; what it refers to is checked and pinned anew."""
        former = await self._desk.get(name)
        order = ResolvedOrder.model_validate(former.spec).order
        if dataset_version:
            order = order.model_copy(update={"dataset_version": dataset_version})
        return await self._training.submit(
            former.branch, order, request_id=request_id, validate_only=False, priority=former.priority
        )
