"""Asks questions of a remote model: a few side by side, patiently, and never for longer than allowed."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from dataclasses import dataclass
from functools import partial
from typing import Final

from fragua_evaluator.domain.arm import Limits
from fragua_evaluator.domain.report import Answer, Ending
from fragua_evaluator.scoring.targets.port import Question, StopRequested
from fragua_evaluator.scoring.targets.web import TryAgain, Unanswered, in_a_thread
from fragua_platform.errors import Unavailable

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 60.0
_SECONDS_BETWEEN_GLANCES: Final = 0.1
_GRACE_SECONDS: Final = 5.0
"""After which the thread of a request is left alone."""
_OUTAGE: Final = 8
"""So many questions in a row without an answer are no trouble of the questions: the service is away."""
_AWAY: Final = frozenset({"UNAVAILABLE", "TIMEOUT"})

Ask = Callable[[Question, float], Answer]
"""One try at a question, until a time of the monotonic clock. Raises TryAgain or Unanswered; other errors end the arm."""


@dataclass
class _Asked:
    number: int
    """In the order of asking."""
    question: Question
    overdue: float


@dataclass(frozen=True)
class _Told:
    number: int
    key: str
    answer: Answer


class RemoteAsking:
    def __init__(self, name: str, url: str, limits: Limits, together: int) -> None:
        self._name = name
        self._url = url
        self._limits = limits
        self._together = together
        self.clock = SharedClock()

    def answers(
        self, questions: Sequence[Question], ask: Ask, stop_requested: StopRequested
    ) -> Iterator[tuple[str, Answer]]:
        """Raises Unavailable when the service is away; what was not answered because of that is not yielded, so that
        the next attempt asks it again."""
        unheard: list[_Told] = []
        for told in self._ready_answers(questions, ask, stop_requested):
            if told.answer.failure.partition(":")[0] in _AWAY:
                unheard.append(told)
                self._refuse_outage(unheard)
                continue
            # It answers what was asked after them, so it was those questions that it did not answer.
            failures = [each for each in unheard if each.number < told.number]
            unheard = [each for each in unheard if each.number > told.number]
            for each in (*failures, told):
                yield each.key, each.answer
        if not stop_requested():
            yield from ((each.key, each.answer) for each in unheard)

    def _refuse_outage(self, unheard: Sequence[_Told]) -> None:
        if len(unheard) >= _OUTAGE:
            raise Unavailable(
                f"{self._name} is away: {len(unheard)} questions in a row got no answer; the last one: "
                f"{unheard[-1].answer.failure}",
                reason="ENDPOINT_UNAVAILABLE",
            )

    def _ready_answers(self, questions: Sequence[Question], ask: Ask, stop_requested: StopRequested) -> Iterator[_Told]:
        waiting = deque(enumerate(questions))
        asked: dict[futures.Future[Answer], _Asked] = {}
        given_up = threading.Event()
        try:
            while waiting or asked:
                while waiting and len(asked) < self._together:
                    number, question = waiting.popleft()
                    overdue = time.monotonic() + self._limits.request_seconds + _GRACE_SECONDS
                    asked[in_a_thread(partial(self._patiently, question, ask, given_up))] = _Asked(
                        number, question, overdue
                    )
                futures.wait(asked, _SECONDS_BETWEEN_GLANCES, futures.FIRST_COMPLETED)
                if stop_requested():
                    return
                yield from self._ready(asked)
        finally:
            given_up.set()

    def _patiently(self, question: Question, ask: Ask, given_up: threading.Event) -> Answer:
        ends = time.monotonic() + self._limits.request_seconds
        pause = _FIRST_PAUSE
        while True:
            try:
                return ask(question, ends)
            except Unanswered as trouble:
                return failed(trouble.reason, f"{self._url} {trouble}")
            except TryAgain as trouble:
                rest = max(pause, trouble.after)
                if time.monotonic() + rest >= ends:
                    return failed(trouble.reason, f"{self._url} {trouble}; {self._no_answer}")
            if given_up.wait(rest):
                return failed("UNAVAILABLE", "given up")
            pause = min(pause * 2, _LONGEST_PAUSE)

    @property
    def _no_answer(self) -> str:
        return f"no answer within {self._limits.request_seconds:g} s"

    def _ready(self, asked: dict[futures.Future[Answer], _Asked]) -> Iterator[_Told]:
        for future, each in list(asked.items()):
            if future.done():
                answer = future.result()
            elif time.monotonic() > each.overdue:
                answer = failed("TIMEOUT", f"{self._url} draws its answer out; {self._no_answer}")
            else:
                continue
            del asked[future]
            yield _Told(each.number, each.question.key, answer)


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
