"""Prints conversations with the chat template that a GGUF file holds, as transformers would print them."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence
from typing import Any, Final

from jinja2 import TemplateError
from llama_cpp.llama_chat_format import Jinja2ChatFormatter

from fragua_evaluator.domain.arm import Message, Role
from fragua_evaluator.scoring.targets.gguf_model import GgufFile
from fragua_platform.errors import InvalidData, InvalidInput

_TEMPLATE_DATE: Final = datetime.date(2024, 7, 26)
"""Llama 3.2's template prints the date; with this one it prints what it was trained with, whatever the day."""
_ANSWER: Final = "answer"


class _Formatter(Jinja2ChatFormatter):
    """llama-cpp-python's runs templates in Jinja's sandbox, with the filters and tags that transformers knows."""

    @staticmethod
    def strftime_now(f: str) -> str:
        return _TEMPLATE_DATE.strftime(f)


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
        self.template_digest = hashlib.sha256(template.encode()).hexdigest()
        try:
            self._formatter = _Formatter(template, eos_token=file.end, bos_token=file.begin)
        except TemplateError as broken:
            raise self._unsupported(str(broken)) from broken
        self.ends = file.ends | self._end_of_turn()
        if not self.ends:
            raise InvalidInput(f"{file.name} names no token that ends a turn", reason="UNSUPPORTED_CHAT_TEMPLATE")

    def prompt(self, messages: Sequence[Message], place: str) -> list[int]:
        return self._file.tokenize(self._prompt_text(messages, place))

    def answer(self, messages: Sequence[Message], text: str, place: str) -> list[int]:
        """What follows the prompt's tokens when the model says this; without the end of its turn."""
        before = self._prompt_text(messages, place)
        # Together, because a model that says this after the prompt would not cut a word where the prompt ends.
        tokens = self._file.tokenize(before + text)[len(self._file.tokenize(before)) :]
        return tokens or self._file.tokenize(text)

    @property
    def end_of_turn(self) -> int:
        """What the template writes after an answer; else the end of text."""
        return min(self._end_of_turn(), default=self._file.end_of_text)

    def _prompt_text(self, messages: Sequence[Message], place: str) -> str:
        try:
            return self._print(messages, opens_turn=True)
        except (TemplateError, ValueError, TypeError) as objection:
            raise InvalidData(f"{place}: the chat template of {self._file.name} refuses it: {objection}") from objection

    def _end_of_turn(self) -> frozenset[int]:
        turns = [Message(role=Role.USER, content="question"), Message(role=Role.ASSISTANT, content=_ANSWER)]
        try:
            text = self._print(turns, opens_turn=False)
        except (TemplateError, ValueError, TypeError) as objection:
            raise self._unsupported(str(objection)) from objection
        _, found, after = text.rpartition(_ANSWER)
        tokens = self._file.tokenize(after) if found else []
        return frozenset(token for token in tokens[:1] if token in self._file.ends or self._file.is_control(token))

    def _print(self, messages: Sequence[Message], *, opens_turn: bool) -> str:
        self._formatter.add_generation_prompt = opens_turn
        spoken: Any = [{"role": message.role.value, "content": message.content} for message in messages]
        return self._formatter(messages=spoken).prompt

    def _unsupported(self, objection: str) -> InvalidInput:
        return InvalidInput(
            f"the chat template of {self._file.name} cannot print a question and its answer: {objection}",
            reason="UNSUPPORTED_CHAT_TEMPLATE",
        )
