"""What happens at each optimizer step, as pure functions of the step: which examples, at which learning rate.

Nothing here keeps state, so a checkpoint needs only the step number to go on at the same place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch

from fragua_trainer.domain.training_spec import SchedulerShape, ScheduleSpec


@dataclass(frozen=True)
class Plan:
    """A schedule applied to a number of training examples."""

    schedule: ScheduleSpec
    example_count: int

    @property
    def examples_per_step(self) -> int:
        return self.schedule.batch_size * self.schedule.gradient_accumulation

    @property
    def steps_per_epoch(self) -> int:
        """The last step of an epoch takes what is left, so that every epoch sees every example once."""
        return math.ceil(self.example_count / self.examples_per_step)

    @property
    def total_steps(self) -> int:
        return self.schedule.max_steps or math.ceil(self.schedule.epochs * self.steps_per_epoch)

    @property
    def total_epochs(self) -> float:
        return self.total_steps / self.steps_per_epoch

    def epoch_of(self, step: int) -> float:
        """Passes over the data that are complete after `step` steps."""
        return step / self.steps_per_epoch

    def micro_batches(self, step: int) -> list[tuple[int, ...]]:
        """Positions of the examples of step `step` (counted from 0), in micro-batches."""
        epoch, place = divmod(step, self.steps_per_epoch)
        order = _epoch_order(self.example_count, self.schedule.seed, epoch)
        chosen = order[place * self.examples_per_step : (place + 1) * self.examples_per_step]
        size = self.schedule.batch_size
        return [chosen[start : start + size] for start in range(0, len(chosen), size)]

    def learning_rate(self, step: int) -> float:
        """The learning rate of step `step` (counted from 0): linear warm-up, then the chosen shape down to zero."""
        warmup = self.schedule.warm_up(self.total_steps)
        if step < warmup:
            return self.schedule.learning_rate * (step + 1) / warmup
        done = (step - warmup) / (self.total_steps - warmup)
        match self.schedule.scheduler:
            case SchedulerShape.COSINE:
                share = 0.5 * (1 + math.cos(math.pi * done))
            case SchedulerShape.LINEAR:
                share = 1 - done
            case SchedulerShape.CONSTANT:
                share = 1.0
        return self.schedule.learning_rate * share


@lru_cache(maxsize=1)
def _epoch_order(count: int, seed: int, epoch: int) -> tuple[int, ...]:
    """A shuffle that depends on nothing but its arguments."""
    # The remainder keeps the sum within what a torch generator accepts.
    generator = torch.Generator().manual_seed((seed + epoch * 1_000_003) % 2**63)
    return tuple(torch.randperm(count, generator=generator).tolist())
