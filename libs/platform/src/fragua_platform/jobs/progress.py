"""What a worker makes of an engine's progress records: a rate, a remaining time, and a sense of what is worth telling."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from fragua_platform.jobs.job import Progress

_ROW_SECONDS = 1.0
_EVENT_SECONDS = 5.0
_RECENT_STEPS = 20


class ProgressBook:
    """Remembers when recent steps ended; the remaining time follows from them alone, so it holds for slow steps too."""

    def __init__(self) -> None:
        self._phase = ""
        self._marks: deque[tuple[float, int]] = deque(maxlen=_RECENT_STEPS)
        self._last_row = 0.0
        self._last_event = 0.0

    def enter(self, record: dict[str, Any]) -> Progress:
        phase, step, total = str(record["phase"]), int(record["step"]), int(record["total"])
        if phase != self._phase:
            self._phase = phase
            self._marks.clear()
        if not self._marks or step > self._marks[-1][1]:
            self._marks.append((time.monotonic(), step))
        return Progress(phase, step, total, self._eta(step, total), str(record.get("message", "")))

    def due(self) -> bool:
        """Whether the row was not written for a second."""
        self._last_row, due = _tick(self._last_row, _ROW_SECONDS)
        return due

    def event_due(self) -> bool:
        self._last_event, due = _tick(self._last_event, _EVENT_SECONDS)
        return due

    def _eta(self, step: int, total: int) -> float | None:
        if total <= 0 or len(self._marks) < 2:
            return None
        (began, first), (latest, last) = self._marks[0], self._marks[-1]
        return max(total - step, 0) * (latest - began) / (last - first)


def _tick(last: float, interval: float) -> tuple[float, bool]:
    now = time.monotonic()
    return (now, True) if now - last >= interval else (last, False)
