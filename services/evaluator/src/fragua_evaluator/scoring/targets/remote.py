"""Asks questions of a remote model: a few side by side, patiently, and never for longer than allowed."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from dataclasses import dataclass
from functools import partial
from typing import Final

from fragua_evaluator.domain.arm import Limits
from fragua_evaluator.domain.report import Answer, Ending
from fragua_evaluator.scoring.targets.port import Question, StopRequested
from fragua_evaluator.scoring.targets.web import TryAgain, Unanswered, in_a_thread
from fragua_platform.errors import FraguaError, InvalidInput, Unavailable

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 60.0
_SECONDS_BETWEEN_GLANCES: Final = 0.1
_GRACE_SECONDS: Final = 5.0
"""After which the thread of a request is left alone."""
_FEW_FAILURES: Final = 5
"""Fewer say little about a service; the evaluation judges the arm as a whole at its end."""

Ask = Callable[[Question, float], Answer]
"""One try at a question, until a time of the monotonic clock. Raises TryAgain or Unanswered; other errors end the arm."""


@dataclass
class _Asked:
    question: Question
    overdue: float


class RemoteAsking:
    """Keeps count over all that one target is asked."""

    def __init__(self, name: str, limits: Limits, together: int) -> None:
        self._name = name
        self._limits = limits
        self._together = together
        self._questions = 0
        self._failures: Counter[str] = Counter()
        self._last_trouble = ""
        self.clock = SharedClock()

    def answers(
        self, questions: Sequence[Question], ask: Ask, stop_requested: StopRequested
    ) -> Iterator[tuple[str, Answer]]:
        """Raises when so many failed that the rest cannot mend it."""
        self._questions += len(questions)
        waiting = deque(questions)
        asked: dict[futures.Future[Answer], _Asked] = {}
        given_up = threading.Event()
        try:
            while waiting or asked:
                while waiting and len(asked) < self._together:
                    question = waiting.popleft()
                    overdue = time.monotonic() + self._limits.request_seconds + _GRACE_SECONDS
                    asked[in_a_thread(partial(self._patiently, question, ask, given_up))] = _Asked(question, overdue)
                futures.wait(asked, _SECONDS_BETWEEN_GLANCES, futures.FIRST_COMPLETED)
                if stop_requested():
                    return
                for key, answer in self._ready(asked):
                    self._judge(answer)
                    yield key, answer
        finally:
            given_up.set()

    def _patiently(self, question: Question, ask: Ask, given_up: threading.Event) -> Answer:
        ends = time.monotonic() + self._limits.request_seconds
        pause = _FIRST_PAUSE
        while True:
            try:
                return ask(question, ends)
            except Unanswered as trouble:
                return failed(trouble.reason, str(trouble))
            except TryAgain as trouble:
                rest = max(pause, trouble.after)
                if time.monotonic() + rest >= ends:
                    return failed(trouble.reason, f"{trouble}; no answer within {self._limits.request_seconds:g} s")
            if given_up.wait(rest):
                return failed("UNAVAILABLE", "given up")
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _ready(self, asked: dict[futures.Future[Answer], _Asked]) -> Iterator[tuple[str, Answer]]:
        for future in list(asked):
            if future.done():
                yield asked.pop(future).question.key, future.result()
            elif time.monotonic() > asked[future].overdue:
                late = failed("TIMEOUT", f"no answer within {self._limits.request_seconds:g} s")
                yield asked.pop(future).question.key, late

    def _judge(self, answer: Answer) -> None:
        if answer.ending is not Ending.FAILED:
            return
        self._failures[answer.failure.partition(":")[0]] += 1
        self._last_trouble = answer.failure
        failures = self._failures.total()
        if failures < _FEW_FAILURES or failures <= self._limits.max_failed_share * self._questions:
            return
        problem = (
            f"{self._name} is broken: {failures} of {self._questions} questions have no answer, which is more than "
            f"max_failed_share = {self._limits.max_failed_share:g} allows; the last one: {self._last_trouble}"
        )
        raise self._error(problem)

    def _error(self, problem: str) -> FraguaError:
        """What comes of being away may pass; the rest would be the same next time."""
        if self._failures.keys() <= {"UNAVAILABLE", "TIMEOUT"}:
            return Unavailable(problem, reason="ENDPOINT_UNAVAILABLE")
        return InvalidInput(problem, reason="ENDPOINT_BROKEN")


def failed(reason: str, problem: str) -> Answer:
    return Answer(ending=Ending.FAILED, failure=f"{reason}: {problem}")


class SharedClock:
    """Divides time among the requests that are under way at once, so that their shares add up to what has passed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way = 0
        self._share = 0.0
        """Of a request that was there from the beginning."""
        self._last = 0.0

    def begin(self) -> float:
        with self._lock:
            self._advance(+1)
            return self._share

    def end(self, begun: float) -> float:
        """The seconds that one request takes to itself, given what `begin` returned."""
        with self._lock:
            self._advance(-1)
            return self._share - begun

    def _advance(self, change: int) -> None:
        now = time.monotonic()
        if self._under_way:
            self._share += (now - self._last) / self._under_way
        self._under_way += change
        self._last = now
