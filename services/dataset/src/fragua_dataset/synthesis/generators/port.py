"""The port to a language model: one question, one answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

Chat = Sequence[dict[str, str]]
"""Messages with `role` and `content`; the last one is the user's."""


@dataclass(frozen=True)
class Answer:
    text: str
    tokens: int | None = None
    """Of question and answer together; None where they are not counted."""
    complete: bool = True
    """False when it was cut because it became too long."""


class Unanswered(Exception):
    """What came back to this one question was no answer; `reason` is one of a few, so that they can be counted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class OutOfTime(Exception):
    """The time that may be spent was over before the answer was there."""


class Generator(Protocol):
    """Raises `Unanswered`; `Unavailable` when there is no answer to anything at the moment; `InvalidInput` when there
    never will be."""

    def answer(self, chat: Chat, seed: int, deadline: float) -> Answer:
        """`deadline` is a time of `time.monotonic`; `OutOfTime` where one that waits for others reaches it."""
        ...

    def close(self) -> None: ...
