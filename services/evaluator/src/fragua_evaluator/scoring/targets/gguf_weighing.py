"""How likely given texts are, in llama.cpp: what they have in common is read once."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Final

import numpy as np

from fragua_evaluator.scoring.targets.gguf_chat import Continuation
from fragua_evaluator.scoring.targets.gguf_context import Entry, GgufContext, Logits

MOST_TOGETHER: Final = 32
"""Texts that go on from one beginning at a time."""

_BEGINNING: Final = 0
"""The conversation that holds it; the texts go on from it in others and do not see each other."""


def shared_length(texts: Sequence[Continuation]) -> int:
    """Tokens that all have in common and nobody weighs, less the last, whose logits weigh what comes first."""
    return max(min(text.start for text in texts) - 1, 0)


def cells_of(texts: Sequence[Continuation]) -> int:
    """What the context has to hold at once."""
    shared = shared_length(texts)
    return shared + sum(sorted((len(text.tokens) - shared for text in texts), reverse=True)[:MOST_TOGETHER])


def weigh(context: GgufContext, texts: Sequence[Continuation]) -> tuple[list[float], float]:
    """The log-likelihood of each, a sum over its tokens; and the seconds that it took."""
    started = time.monotonic()
    shared = shared_length(texts)
    beginning: list[Entry] = [(_BEGINNING, place, token, False) for place, token in enumerate(texts[0].tokens[:shared])]
    context.read(beginning, lambda _, __: None)
    sums: list[float] = []
    for start in range(0, len(texts), MOST_TOGETHER):
        sums += _go_on(context, shared, texts[start : start + MOST_TOGETHER])
    context.forget(_BEGINNING)
    return sums, time.monotonic() - started


def _go_on(context: GgufContext, shared: int, texts: Sequence[Continuation]) -> list[float]:
    entries: list[Entry] = []
    weighed: list[tuple[int, int]] = []
    for index, text in enumerate(texts):
        conversation = _BEGINNING + 1 + index
        context.copy(_BEGINNING, conversation)
        for place in range(shared, len(text.tokens) - 1):
            entries.append((conversation, place, text.tokens[place], place + 1 >= text.start))
            weighed.append((index, text.tokens[place + 1]))
    sums = [0.0] * len(texts)

    def weigh_next(entry: int, logits: Logits) -> None:
        index, token = weighed[entry]
        sums[index] += _log_probability(logits, token)

    context.read(entries, weigh_next)
    for index in range(len(texts)):
        context.forget(_BEGINNING + 1 + index)
    return sums


def _log_probability(logits: Logits, token: int) -> float:
    """NaN where the model computes no numbers."""
    values = logits.astype(np.float64)
    most = values.max()
    return float(values[token] - most - np.log(np.exp(values - most).sum())) if math.isfinite(most) else math.nan
