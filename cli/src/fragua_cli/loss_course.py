"""The course of a run's loss as a small drawing, for a bar that moves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from fragua.common.v1 import job_pb2

_LOSS: Final = re.compile(r"(?<!val )\bloss (\d+(?:\.\d+)?)")
"""As the trainer's progress tells it: `epoch 1/3 · step 40/300 · loss 0.510 · val loss 0.600`."""
_HEIGHTS: Final = "▁▂▃▄▅▆▇█"
_WIDTH: Final = 24


class LossCourse:
    """Remembers what was told of every step."""

    def __init__(self) -> None:
        self._losses: dict[int, float] = {}

    def see(self, progress: job_pb2.JobProgress) -> None:
        if told := _LOSS.search(progress.message):
            self._losses[progress.step] = float(told[1])

    def __str__(self) -> str:
        return sparkline([loss for _, loss in sorted(self._losses.items())])


def sparkline(values: Sequence[float]) -> str:
    """The whole course in at most 24 characters, each the mean of its share; nothing for fewer than two values."""
    if len(values) < 2:
        return ""
    width = min(len(values), _WIDTH)
    edges = [len(values) * place // width for place in range(width + 1)]
    means = [sum(values[begin:end]) / (end - begin) for begin, end in pairwise(edges)]
    lowest, range_ = min(means), max(means) - min(means)
    top = len(_HEIGHTS) - 1
    return "".join(_HEIGHTS[round((mean - lowest) / range_ * top) if range_ else 0] for mean in means)
