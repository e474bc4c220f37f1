"""How long the run still takes, from the steps of this attempt: the machine of a former one may have been another."""

from __future__ import annotations

from collections import deque

STEPS_REMEMBERED = 30
"""Lengths of rows differ, so one step says little; and what slowed the machine down long ago says nothing."""


class Pace:
    def __init__(self, former_seconds_per_step: float = 0.0) -> None:
        """`former_seconds_per_step` is what a former attempt measured: better than nothing until there is more."""
        self._former = former_seconds_per_step
        self._steps: deque[float] = deque(maxlen=STEPS_REMEMBERED)
        self._validation = 0.0

    def step_taken(self, seconds: float) -> None:
        self._steps.append(seconds)

    def validated(self, seconds: float) -> None:
        self._validation = seconds

    @property
    def seconds_per_step(self) -> float:
        """0 while nothing is known."""
        return sum(self._steps) / len(self._steps) if self._steps else self._former

    def seconds_left(self, steps: int, validations: int, done: float = 0.0, seconds: float = 0.0) -> float | None:
        """For `steps` more steps, of whose first the share `done` is over and took `seconds`; None while unknown."""
        per_step = self.seconds_per_step
        if not self._steps and done > 0:
            per_step = seconds / done
        return max(0.0, per_step * (steps - done)) + self._validation * validations if per_step else None


def in_words(seconds: float) -> str:
    """Two units are as exact as an estimate is."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
