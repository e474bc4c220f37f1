"""How likely given texts are after a prompt, in llama.cpp."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import numpy as np

from fragua_evaluator.domain.report import Answer, Ending
from fragua_evaluator.scoring.targets.gguf_context import Entry, GgufContext, Logits
from fragua_evaluator.scoring.targets.remote import failed

_PROMPT = 0
"""The conversation that holds the prompt; the choices go on from it in others."""


def weigh_choices(
    context: GgufContext, prompt: Sequence[int], choices: Sequence[Sequence[int]], together: int
) -> Answer:
    """The prompt is read once; every choice goes on from it without seeing the others."""
    started = time.monotonic()
    last = len(prompt) - 1
    entries = [(_PROMPT, place, token, place == last) for place, token in enumerate(prompt)]
    [sums] = context.read(entries, lambda _, logits: [_log_probability(logits, choice[0]) for choice in choices])
    for start in range(0, len(choices), together):
        group = range(start, min(start + together, len(choices)))
        for index, value in _weigh_rest(context, len(prompt), [(index, choices[index]) for index in group]):
            sums[index] += value
    context.forget(_PROMPT)
    if not all(map(math.isfinite, sums)):
        return _lost()
    return Answer(
        ending=Ending.STOP,
        choice_log_likelihoods=tuple(sums),
        prompt_tokens=len(prompt),
        seconds=time.monotonic() - started,
    )


def _weigh_rest(
    context: GgufContext, begin: int, choices: Sequence[tuple[int, Sequence[int]]]
) -> list[tuple[int, float]]:
    """Each token but the first, with the index of its choice; the first is weighed by the prompt's end."""
    entries: list[Entry] = []
    owners: list[tuple[int, int]] = []
    for conversation, (index, tokens) in enumerate(choices, start=_PROMPT + 1):
        context.copy(_PROMPT, conversation)
        for place in range(len(tokens) - 1):
            entries.append((conversation, begin + place, tokens[place], True))
            owners.append((index, tokens[place + 1]))

    def weigh(entry: int, logits: Logits) -> tuple[int, float]:
        index, token = owners[entry]
        return index, _log_probability(logits, token)

    weighed = context.read(entries, weigh)
    for conversation in range(_PROMPT + 1, _PROMPT + 1 + len(choices)):
        context.forget(conversation)
    return weighed


def weigh_text(context: GgufContext, prompt: Sequence[int], expected: Sequence[int]) -> Answer:
    started = time.monotonic()
    tokens = [*prompt, *expected]
    first = len(prompt) - 1
    entries = [(_PROMPT, place, token, place >= first) for place, token in enumerate(tokens[:-1])]
    weigh: Callable[[int, Logits], float] = lambda place, logits: _log_probability(logits, tokens[place + 1])  # noqa: E731
    log_likelihood = sum(context.read(entries, weigh))
    context.forget(_PROMPT)
    if not math.isfinite(log_likelihood):
        return _lost()
    return Answer(
        ending=Ending.STOP,
        log_likelihood=log_likelihood,
        tokens=len(expected),
        prompt_tokens=len(prompt),
        seconds=time.monotonic() - started,
    )


def _log_probability(logits: Logits, token: int) -> float:
    values = logits.astype(np.float64)
    most = values.max()
    return float(values[token] - most - np.log(np.exp(values - most).sum()))


def _lost() -> Answer:
    return failed("NOT_A_NUMBER", "the model computes logits that are no numbers")
