"""Finds prompts that a remote model cut silently, by the number of tokens that it counted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fragua_evaluator.scoring.targets.port import Question
from fragua_platform.errors import InvalidData, Violation

_MOST_BYTES_A_TOKEN: Final = 12
"""Prose has four to five bytes a token, other languages and code fewer."""
_OTHER_TEXT: Final = 4
"""Texts of one suite differ by less in bytes a token, whatever they are about."""
_SHORT_BYTES: Final = 512
"""Shorter prompts are mostly template, and no service cuts them."""
_CLEARLY_LONGER: Final = 1.3
_MAX_VIOLATIONS: Final = 20

_RUNS = re.compile(r"(\s)\s+|(.)\2{3,}")
"""Of spaces, and of one sign: however long they are, they are few tokens."""


@dataclass(frozen=True)
class _Size:
    key: str
    bytes: int
    tokens: int


class PromptSizes:
    """Counts of tokens by themselves say little, as the tokenizer is hidden; compared with each other they tell."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._sizes: list[_Size] = []
        self._counted: dict[tuple[str, str], int] = {}
        self._leaves_out_what_it_remembers = False
        """Some versions of Ollama count only the tokens that they had not read for the last question; such counts prove
        nothing, and a repeat of a question shows it."""

    def add(self, question: Question, tokens: int) -> None:
        if self._counted.setdefault((question.suite, question.item), tokens) != tokens:
            self._leaves_out_what_it_remembers = True
        text = "\n".join(message.content for message in question.messages)
        size = _Size(question.key, len(_RUNS.sub(r"\1\2", text).encode("utf-8", "replace")), tokens)
        if size.bytes > _SHORT_BYTES:
            self._sizes.append(size)

    def refuse_cut(self) -> None:
        if self._leaves_out_what_it_remembers:
            return
        cut = {size.key: size for size in (*self._sparse(), *self._outdone(), *self._at_the_ceiling())}
        if cut:
            raise InvalidData(
                f"{self._name} cut {len(cut)} prompts silently, so its answers are answers to other questions; give it "
                "a larger context, or shorten the questions",
                reason="PROMPT_TRUNCATED",
                violations=[
                    Violation(size.key, f"{size.bytes} bytes of text reached the model as {size.tokens} tokens")
                    for size in list(cut.values())[:_MAX_VIOLATIONS]
                ],
            )

    def _sparse(self) -> Sequence[_Size]:
        return [size for size in self._sizes if size.bytes > size.tokens * _MOST_BYTES_A_TOKEN]

    def _outdone(self) -> Sequence[_Size]:
        """No more tokens than another prompt of a fraction of the text."""
        outdone: list[_Size] = []
        ordered = sorted(self._sizes, key=lambda size: size.bytes)
        shorter, most = 0, -1
        for size in ordered:
            while ordered[shorter].bytes * _OTHER_TEXT <= size.bytes:
                most = max(most, ordered[shorter].tokens)
                shorter += 1
            if size.tokens <= most:
                outdone.append(size)
        return outdone

    def _at_the_ceiling(self) -> Sequence[_Size]:
        """Prompts of clearly different lengths that all have the largest count there is."""
        ceiling = max((size.tokens for size in self._sizes), default=0)
        there = [size for size in self._sizes if size.tokens == ceiling]
        shortest = min((size.bytes for size in there), default=0)
        return there if any(size.bytes > shortest * _CLEARLY_LONGER for size in there) else ()
