"""One answer under way in llama.cpp."""

from __future__ import annotations

import hashlib
from collections.abc import Set

import numpy as np
from numpy.typing import NDArray

from fragua_evaluator.domain.arm import Decoding, Limits
from fragua_evaluator.domain.report import Answer, Ending
from fragua_evaluator.scoring.targets.gguf_context import Entry, Logits
from fragua_evaluator.scoring.targets.gguf_model import GgufFile
from fragua_evaluator.scoring.targets.port import Question
from fragua_evaluator.scoring.targets.remote import failed
from fragua_evaluator.scoring.targets.said import storable


class Speaker:
    def __init__(self, question: Question, conversation: int, prompt_tokens: int, decoding: Decoding) -> None:
        self.question = question
        self.conversation = conversation
        self.seconds = 0.0
        self.first_token_seconds = 0.0
        self._prompt_tokens = prompt_tokens
        self._decoding = decoding
        self._tokens: list[int] = []
        self._lost = False
        # Of the question alone, so that it does not matter who answers beside it.
        name = hashlib.sha256(f"{question.suite}/{question.item}".encode()).digest()
        self._dice = np.random.default_rng([question.seed, int.from_bytes(name[:8])])

    @property
    def entry(self) -> Entry:
        """The last token, which the model has not read yet."""
        return self.conversation, self._prompt_tokens + len(self._tokens) - 1, self._tokens[-1], True

    def say(self, logits: Logits) -> None:
        if not np.isfinite(logits.max()):
            self._lost = True
        elif self._decoding.temperature == 0:
            self._tokens.append(int(logits.argmax()))
        else:
            self._tokens.append(self._sample(logits))

    def _sample(self, logits: Logits) -> int:
        scaled = logits.astype(np.float64) / self._decoding.temperature
        probabilities = np.exp(scaled - scaled.max())
        probabilities /= probabilities.sum()
        if self._decoding.top_p < 1:
            probabilities = _nucleus(probabilities, self._decoding.top_p)
        mass = np.cumsum(probabilities)
        drawn = int(np.searchsorted(mass, self._dice.random() * mass[-1], side="right"))
        return min(drawn, int(probabilities.nonzero()[0][-1]))

    def has_ended(self, ends: Set[int]) -> bool:
        return self._lost or self._tokens[-1] in ends or len(self._tokens) >= self.question.max_new_tokens

    def answer(self, file: GgufFile, ends: Set[int], limits: Limits) -> Answer:
        if self._lost:
            return failed("NOT_A_NUMBER", f"{file.name} computes logits that are no numbers")
        stopped = self._tokens[-1] in ends
        text = storable(file.text(self._tokens[:-1] if stopped else self._tokens))
        if len(text.encode()) > limits.max_output_bytes:
            return failed("OUTPUT_TOO_LARGE", f"answers with more than max_output_bytes = {limits.max_output_bytes}")
        return Answer(
            text=text,
            ending=Ending.STOP if stopped else Ending.LENGTH,
            tokens=len(self._tokens),
            prompt_tokens=self._prompt_tokens,
            seconds=self.seconds,
            first_token_seconds=self.first_token_seconds,
        )


def _nucleus(probabilities: NDArray[np.float64], top_p: float) -> NDArray[np.float64]:
    """The fewest tokens that together have `top_p` of the mass; the others become impossible."""
    order = np.argsort(-probabilities, kind="stable")
    mass = np.cumsum(probabilities[order])
    kept = order[mass - probabilities[order] < top_p]
    nucleus = np.zeros_like(probabilities)
    nucleus[kept] = probabilities[kept]
    return nucleus
