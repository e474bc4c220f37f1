"""The port between an evaluation and whatever answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from fragua_evaluator.domain.arm import Message
from fragua_evaluator.domain.report import Answer

StopRequested = Callable[[], bool]


@dataclass(frozen=True)
class Question:
    """One item in one repeat."""

    key: str
    """Unique within the evaluation, e.g. `validation/1f3a…/0`; ready-made outputs are found by its parts."""
    suite: str
    item: str
    repeat: int
    messages: tuple[Message, ...]
    """Everything up to where the answer begins, the arm's prompting included."""
    max_new_tokens: int
    seed: int


@dataclass(frozen=True)
class ChoiceQuestion:
    """A question whose answers are given; each choice is the whole text of an assistant's answer."""

    key: str
    messages: tuple[Message, ...]
    choices: tuple[str, ...]


@dataclass(frozen=True)
class TextQuestion:
    """A question whose expected answer is to be weighed."""

    key: str
    messages: tuple[Message, ...]
    expected: str


@dataclass(frozen=True)
class Identity:
    """What a target is, known before it answers."""

    model: str
    """For people; never a secret, never a path outside of the job directory."""
    digest: str
    """Changes whenever its answers may: of weights, template and tokenizer, or of endpoint and model name."""
    conditions: Mapping[str, Any] = field(default_factory=dict)
    """What holds for it, for the report: device, weights type, template digest, stop tokens, context length …"""
    cacheable: bool = True
    """Whether an answer may be taken from an earlier evaluation: False where a name says too little about the model."""
    remote: bool = False
    """Whether the work is done elsewhere, so that this process's memory tells nothing."""


class Target(Protocol):
    """One arm's model, ready to answer.

    Opening raises InvalidInput, InvalidData or Corrupted with what is wrong, before any compute. The three methods below
    yield `(key, answer)` as answers become ready, in any order, every key once. They return early, without an error,
    when `stop_requested()` turns true: what was not yielded was not answered. One bad item is an answer with ending
    FAILED; an error ends the arm. What a target cannot do at all it refuses with InvalidInput, reason
    `UNSUPPORTED_BY_TARGET`, when the iteration begins.
    """

    @property
    def identity(self) -> Identity: ...

    def refuse_unfit(self, questions: Sequence[Question | ChoiceQuestion | TextQuestion]) -> None:
        """Raise InvalidData naming every question that would be cut, before any is answered (`PROMPT_TOO_LONG`)."""
        ...

    def prompt_digest(self, question: Question | ChoiceQuestion | TextQuestion) -> str | None:
        """Of the exact prompt that reaches the model (its token ids, or its rendered text where ids are hidden); None when it
        cannot be known. Arms of one family have to agree on it."""
        ...

    def warm_up(self, questions: Sequence[Question | ChoiceQuestion | TextQuestion]) -> None:
        """Load what is not loaded yet and answer these unmeasured, so that no answer pays for it; a target that gains nothing
        by it does nothing. Answers are thrown away and may be cut short."""
        ...

    def generate(
        self, questions: Sequence[Question], stop_requested: StopRequested
    ) -> Iterator[tuple[str, Answer]]: ...

    def weigh_choices(
        self, questions: Sequence[ChoiceQuestion], stop_requested: StopRequested
    ) -> Iterator[tuple[str, Answer]]:
        """Answers with `choice_log_likelihoods`."""
        ...

    def weigh_texts(
        self, questions: Sequence[TextQuestion], stop_requested: StopRequested
    ) -> Iterator[tuple[str, Answer]]:
        """Answers with `log_likelihood` and `tokens` of the expected answer, its end-of-turn token included."""
        ...

    def close(self) -> None:
        """Give memory and connections back."""
        ...
