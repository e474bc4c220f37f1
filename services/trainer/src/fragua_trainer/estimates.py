"""Estimates of training jobs: the engine looks at the very inputs of the run, here and now, one estimate at a time."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.errors import EngineFailure, FailureClass, InvalidData, InvalidInput, LimitExceeded, Violation
from fragua_platform.jobs.child import EngineProcess
from fragua_platform.jobs.engine import JobDirectory
from fragua_platform.jobs.workplace import own_workplace
from fragua_trainer.application import Training
from fragua_trainer.domain.estimate import Estimate, EstimateOrder
from fragua_trainer.domain.training_order import ResolvedOrder, TrainingOrder
from fragua_trainer.work import fetch_inputs

ENGINE = "fragua_trainer.training.preflight"


class Estimates:
    def __init__(self, training: Training, store: ArtifactStore, directory: Path, max_seconds: int) -> None:
        self._training = training
        self._store = store
        self._directory = directory
        self._max_seconds = max_seconds
        # Two at once would measure each other.
        self._one_at_a_time = asyncio.Lock()

    async def estimate(self, branch: str, order: TrainingOrder, *, measure: bool) -> Estimate:
        """Everything that is wrong with the order or its inputs is raised at once."""
        resolved = await self._training.resolve(branch, order)
        try:
            async with asyncio.timeout(self._max_seconds), self._one_at_a_time:
                found = await self._look(resolved, measure)
        except TimeoutError as slow:
            raise LimitExceeded(
                f"the estimate took longer than {self._max_seconds} s (FRAGUA_MAX_ESTIMATE_SECONDS), with those that it "
                "waited for: ask again, or without measure",
                reason="ESTIMATE_TOO_SLOW",
            ) from slow
        return found.model_copy(update={"notices": (*resolved.notices, *found.notices)})

    async def _look(self, resolved: ResolvedOrder, measure: bool) -> Estimate:
        stack = ExitStack()
        job = JobDirectory(await asyncio.to_thread(stack.enter_context, own_workplace(self._directory)))
        try:
            await fetch_inputs(self._store, resolved, job.inputs)
            order = EstimateOrder(training=resolved.order.spec, measure=measure)
            (job.root / "spec.json").write_text(order.model_dump_json(), "utf-8")
            await EngineProcess(ENGINE, job.root).run(on_record=lambda record: None)
            return Estimate.model_validate_json((job.outputs / "estimate.json").read_bytes())
        except EngineFailure as failure:
            raise _of_the_request(failure) from failure
        finally:
            await asyncio.to_thread(stack.close)


def _of_the_request(failure: EngineFailure) -> Exception:
    """What the engine found wrong with the order is the caller's to mend; the rest stays what it is."""
    families = {FailureClass.USER_CONFIG: InvalidInput, FailureClass.USER_DATA: InvalidData}
    family = families.get(failure.failure_class)
    if family is None:
        if failure.failure_class is FailureClass.CAPACITY:
            return LimitExceeded(failure.message, reason=failure.reason)
        return failure
    violations = [
        Violation(
            f"training_job.{violation.field}" if family is InvalidInput else violation.field, violation.description
        )
        for violation in failure.violations
    ]
    return family(failure.message, violations=violations, reason=failure.reason)
