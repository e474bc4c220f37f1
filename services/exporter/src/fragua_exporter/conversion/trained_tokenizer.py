"""The base's tokenizer and chat template as training used them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from fragua_exporter.conversion.chat_template import Message
from fragua_platform.errors import InvalidData, InvalidInput
from fragua_platform.foreign_code import CHAT_TEMPLATE

TEMPLATE_DATE = "26 Jul 2024"
"""Llama 3's templates print today's date unless told otherwise. A Modelfile is read on another day, and the same inputs
must give the same bytes: so the date is the one that these templates hold themselves."""


class TrainedTokenizer:
    """The tokenizer as training used it: chat turns are plain text, and nothing is added to them."""

    def __init__(self, base: Path) -> None:
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(base, local_files_only=True)
        except Exception as broken:  # The libraries below raise whatever they like at a damaged file.
            raise InvalidData(
                f"base model: transformers cannot load its tokenizer ({broken}); copy the directory again from its source"
            ) from broken
        if not self._tokenizer.chat_template:
            raise InvalidInput(
                "base model: its tokenizer has no chat template, so nobody can tell how to talk to it; "
                "use the instruction-tuned form of this base",
                reason="UNSUPPORTED_CHAT_TEMPLATE",
            )
        if "strftime_now" in self.chat_template and "date_string" not in self.chat_template:
            raise InvalidInput(
                "base model: its chat template prints the date of the day, which Ollama's cannot; replace strftime_now(…) "
                "in the base's chat template by a fixed date",
                reason="UNSUPPORTED_CHAT_TEMPLATE",
            )

    @property
    def chat_template(self) -> str:
        return str(self._tokenizer.get_chat_template())

    @property
    def bos(self) -> str:
        """The text of its begin-of-text token; empty when it has none."""
        return str(self._tokenizer.bos_token or "")

    def encode(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def render(self, messages: Sequence[Message]) -> str:
        return CHAT_TEMPLATE.run(
            lambda: str(
                self._tokenizer.apply_chat_template(
                    list(messages), tokenize=False, add_generation_prompt=True, date_string=TEMPLATE_DATE
                )
            )
        )

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))
