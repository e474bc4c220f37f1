"""What a worker makes of an engine's progress records: a rate, a remaining time, and what is worth telling when."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from fragua_platform.jobs.job import Progress
from fragua_platform.jobs.records import ProgressRecord

_EVENT_SECONDS = 5.0
_RECENT_STEPS = 20
_MESSAGE_CHARACTERS = 500
_MEASUREMENTS_AT_ONCE = 500
_LINES_AT_ONCE = 500


@dataclass(frozen=True)
class Measurement:
    step: int
    values: dict[str, float]


@dataclass(frozen=True)
class News:
    """What is not yet in the job's row."""

    progress: Progress
    measurements: tuple[Measurement, ...] = ()
    lines: tuple[str, ...] = ()
    """Messages of the engine, each as often as it changed."""
    event: bool = False
    """Whether it is time for an event, too."""


class ProgressBook:
    """Remembers when recent steps ended; the remaining time follows from them alone, so it holds for slow steps too."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._progress = Progress()
        self._changed = False
        self._measurements: list[Measurement] = []
        self._lines: list[str] = []
        self._marks: deque[tuple[float, int]] = deque(maxlen=_RECENT_STEPS)
        self._next_event = -math.inf

    def begin(self, phase: str) -> None:
        """A phase of the worker's own, without steps."""
        self._set(Progress(phase))

    def enter(self, record: ProgressRecord) -> None:
        if record.phase != self._progress.phase or (self._marks and record.step < self._marks[-1][1]):
            self._marks.clear()
        if not self._marks or record.step > self._marks[-1][1]:
            self._marks.append((self._clock(), record.step))
        eta = self._eta(record.step, record.total)
        message = record.message[:_MESSAGE_CHARACTERS]
        if message and message != self._progress.message:
            self._lines.append(message)
        self._set(Progress(record.phase, record.step, record.total, eta, message))
        # No database takes them all: SQLite makes NULL of NaN.
        if values := {name: value for name, value in record.metrics.items() if math.isfinite(value)}:
            self._measurements.append(Measurement(record.step, values))

    def news(self) -> News | None:
        """What to write now; None when the row is up to date. Stays news until it is `told`."""
        if not self._changed and not self._measurements and not self._lines:
            return None
        measurements = tuple(self._measurements[:_MEASUREMENTS_AT_ONCE])
        lines = tuple(self._lines[:_LINES_AT_ONCE])
        return News(self._progress, measurements, lines, event=self._changed and self._clock() >= self._next_event)

    def told(self, news: News) -> None:
        del self._measurements[: len(news.measurements)]
        del self._lines[: len(news.lines)]
        self._changed = self._progress is not news.progress
        if news.event:
            self._next_event = self._clock() + _EVENT_SECONDS

    def _set(self, progress: Progress) -> None:
        self._progress, self._changed = progress, True

    def _eta(self, step: int, total: int) -> float | None:
        if total <= 0 or len(self._marks) < 2:
            return None
        (began, first), (latest, last) = self._marks[0], self._marks[-1]
        return max(total - step, 0) * (latest - began) / (last - first)
