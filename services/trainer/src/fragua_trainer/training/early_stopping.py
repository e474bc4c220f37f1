"""When a run ends, and which of its adapters is the best."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

import torch

from fragua_trainer.domain.training_spec import EarlyStoppingSpec, StoppingMetric
from fragua_trainer.training.adapter import trainable_parameters
from fragua_trainer.training.exam import Exam
from fragua_trainer.training.run import Best, Run, RunState
from fragua_trainer.training.schedule import Plan


class Ending(StrEnum):
    """Why no more steps are taken."""

    ALL_STEPS = "all_steps"
    NO_IMPROVEMENT = "no_improvement"
    TIME_LIMIT = "time_limit"


@dataclass(frozen=True)
class Stopping:
    spec: EarlyStoppingSpec = field(default_factory=EarlyStoppingSpec)
    max_seconds: int = 0
    """Of training, over all attempts; 0 is no limit."""
    exam: Exam | None = None
    """What the metric is measured by, where it is not the validation loss."""

    def ending(self, state: RunState, plan: Plan) -> Ending | None:
        """Follows from the state alone, so a resumed run ends where an unbroken one does."""
        if state.step >= plan.total_steps:
            return Ending.ALL_STEPS
        if self.spec.patience and state.stale >= self.spec.patience:
            return Ending.NO_IMPROVEMENT
        if self.max_seconds and state.training_seconds >= self.max_seconds:
            return Ending.TIME_LIMIT
        return None

    def judge(self, run: Run, value: float) -> None:
        """Take a new measurement of the metric; the weights of the best one are kept if the run may stop for it."""
        state = run.state
        if not self._improves(value, state.best):
            state.stale += 1
            return
        state.best = Best(metric=self.spec.metric.value, value=value, step=state.step)
        state.stale = 0
        if self.spec.patience:
            run.best_adapter = {
                name: parameter.detach().to("cpu", copy=True) for name, parameter in trainable_parameters(run.model)
            }

    def _improves(self, value: float, best: Best | None) -> bool:
        if not math.isfinite(value):
            return False
        if best is None:
            return True
        gain = best.value - value if self.spec.metric is StoppingMetric.VALIDATION_LOSS else value - best.value
        return gain > self.spec.min_delta


@torch.no_grad()
def take_best(run: Run) -> int:
    """Put the best adapter in the place of the last one, if one is kept; returns the step that the adapter is from."""
    if run.best_adapter is None or run.state.best is None:
        return run.state.step
    for name, parameter in trainable_parameters(run.model):
        parameter.copy_(run.best_adapter[name])
    return run.state.best.step
