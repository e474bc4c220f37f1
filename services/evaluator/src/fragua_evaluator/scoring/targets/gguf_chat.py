"""Speaks the chat template that a GGUF file holds: the same tokens as a model directory with that template."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from llama_cpp.llama_chat_format import Jinja2ChatFormatter

from fragua_evaluator.domain.arm import Message, Role
from fragua_evaluator.scoring.targets.gguf_model import GgufFile
from fragua_evaluator.scoring.targets.template_digest import template_digest
from fragua_platform.errors import InvalidData, InvalidInput
from fragua_platform.foreign_code import CHAT_TEMPLATE

_TEMPLATE_DAY: Final = datetime.date(2024, 7, 26)
TEMPLATE_DATE: Final = "26 Jul 2024"
"""Llama 3's templates print today's date unless told otherwise; this one they hold themselves, as training does."""

_QUESTION = Message(role=Role.USER, content="question")
_ANSWER = Message(role=Role.ASSISTANT, content="answer")


@dataclass(frozen=True)
class Continuation:
    """Tokens of which those from `start` on are weighed; what stands before them is the prompt."""

    tokens: tuple[int, ...]
    start: int


class _Formatter(Jinja2ChatFormatter):
    """llama-cpp-python's runs templates in Jinja's sandbox, with the filters and tags that transformers knows."""

    @staticmethod
    def strftime_now(f: str) -> str:
        return _TEMPLATE_DAY.strftime(f)


class GgufChat:
    def __init__(self, file: GgufFile) -> None:
        template = file.metadata("tokenizer.chat_template")
        if not template:
            raise InvalidInput(
                f"{file.name} holds no chat template, so nobody can tell how to ask it: convert the model again, "
                "from a directory with a chat template",
                reason="UNSUPPORTED_CHAT_TEMPLATE",
            )
        self._file = file
        self.prints_a_date = "strftime_now" in template or "date_string" in template
        try:
            # Jinja computes what is constant when it reads a template.
            self._formatter = CHAT_TEMPLATE.run(lambda: _Formatter(template, eos_token=file.end, bos_token=file.begin))
            end_of_turn = self._written_after_an_answer()
        except Exception as objection:  # A template is foreign code and raises whatever it likes.
            raise InvalidInput(
                f"the chat template of {file.name} cannot print a question and its answer: {objection}",
                reason="UNSUPPORTED_CHAT_TEMPLATE",
            ) from objection
        self.end_of_turn = file.end_of_text if end_of_turn is None else end_of_turn
        self.ends = file.ends | {self.end_of_turn}
        self.template_digest = template_digest(
            lambda messages, opens_answer: self._print(messages, opens_answer=opens_answer)
        )

    def prompt(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """The tokens up to where the answer begins; raises InvalidData when the template refuses the messages."""
        return self._file.tokenize(self._print(messages, opens_answer=True))

    def choices(self, messages: Sequence[Message], choices: Sequence[str]) -> list[Continuation]:
        """The question with each of the choices after it, tokens of prompt and choice made together. What is weighed
        begins where the bare prompt, without the white space at its end, has other tokens: where
        lm-evaluation-harness begins, and a model directory here."""
        prompt = self._print(messages, opens_answer=True)
        before = self._file.tokenize(prompt.rstrip())
        return [_continue(before, self._file.tokenize(prompt + choice)) for choice in choices]

    def answer(self, messages: Sequence[Message], expected: str) -> Continuation:
        """The question with its expected answer and the token that ends the turn, as the template writes them."""
        prompt = self._print(messages, opens_answer=True)
        before = self._file.tokenize(prompt)
        whole = self._print([*messages, Message(role=Role.ASSISTANT, content=expected)], opens_answer=False)
        if whole.startswith(prompt):
            written = _continue(before, self._file.tokenize(whole))
            ends = [place for place, token in enumerate(written.tokens) if token in self.ends]
            if ends and ends[-1] >= written.start:
                return Continuation(written.tokens[: ends[-1] + 1], written.start)
        # Some templates write past answers in another way than they open a new one.
        spoken = _continue(before, self._file.tokenize(prompt + expected))
        return Continuation((*spoken.tokens, self.end_of_turn), spoken.start)

    def _written_after_an_answer(self) -> int | None:
        text = self._formatted([_QUESTION, _ANSWER], opens_answer=False)
        _, found, after = text.rpartition(_ANSWER.content)
        tokens = self._file.tokenize(after) if found else ()
        marks = tokens and (tokens[0] in self._file.ends or self._file.is_mark(tokens[0]))
        return tokens[0] if marks else None

    def _print(self, messages: Sequence[Message], *, opens_answer: bool) -> str:
        try:
            return self._formatted(messages, opens_answer=opens_answer)
        except Exception as objection:  # As above.
            raise InvalidData(f"the model's chat template refuses the messages: {objection}") from objection

    def _formatted(self, messages: Sequence[Message], *, opens_answer: bool) -> str:
        self._formatter.add_generation_prompt = opens_answer
        turns: Any = [{"role": message.role.value, "content": message.content} for message in messages]
        return CHAT_TEMPLATE.run(lambda: self._formatter(messages=turns, date_string=TEMPLATE_DATE).prompt)


def _continue(before: tuple[int, ...], whole: tuple[int, ...]) -> Continuation:
    """Where a text becomes other tokens once it goes on, those tokens belong to what follows."""
    shared = min(len(before), len(whole))
    start = next((place for place in range(shared) if before[place] != whole[place]), shared)
    return Continuation(whole, start)
