"""Answers and weighs by transformers' own forward pass, text by text or in padded batches.

The way for models whose attention ours is not proven to match; slower, and right for whatever transformers loads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    StoppingCriteria,
    StoppingCriteriaList,
)

from fragua_evaluator.scoring.targets.local.continuous import Prompt, Written
from fragua_evaluator.scoring.targets.local.sampling import Sampler, choose_tokens
from fragua_evaluator.scoring.targets.local.weighing import Weighable, Weighed
from fragua_evaluator.scoring.targets.port import StopRequested

BATCH_SIZE = 8


def write_answers_static(
    speaker: Callable[[], PreTrainedModel],
    prompts: Sequence[Prompt],
    stop_ids: Sequence[int],
    stop_requested: StopRequested,
    batch_size: int = BATCH_SIZE,
) -> Iterator[Written]:
    """As `write_answers`, in batches that end with their longest answer."""
    # Prompts of like length side by side: little padding.
    waiting = sorted(prompts, key=lambda prompt: -prompt.room)
    for start in range(0, len(waiting), batch_size):
        batch = waiting[start : start + batch_size]
        written = _write_batch(speaker(), batch, stop_ids, stop_requested)
        if stop_requested():
            return
        yield from written


def _write_batch(
    model: PreTrainedModel, prompts: Sequence[Prompt], stop_ids: Sequence[int], stop_requested: StopRequested
) -> list[Written]:
    longest = max(len(prompt.tokens) for prompt in prompts)
    # On the left, so that every prompt ends where its answer begins. What is padded is masked: any token will do.
    padding = [longest - len(prompt.tokens) for prompt in prompts]
    ids = [[stop_ids[0]] * pad + list(prompt.tokens) for pad, prompt in zip(padding, prompts, strict=True)]
    mask = [[0] * pad + [1] * len(prompt.tokens) for pad, prompt in zip(padding, prompts, strict=True)]
    chooser = _Chooser([prompt.sampler for prompt in prompts])
    with torch.inference_mode():
        generate: Any = model.generate
        generated = generate(
            input_ids=torch.tensor(ids, device=model.device),
            attention_mask=torch.tensor(mask, device=model.device),
            generation_config=GenerationConfig(
                max_new_tokens=max(prompt.max_new_tokens for prompt in prompts),
                do_sample=False,
                eos_token_id=list(stop_ids),
                pad_token_id=stop_ids[0],
            ),
            logits_processor=LogitsProcessorList([chooser]),
            stopping_criteria=StoppingCriteriaList([_StopRequested(stop_requested)]),
        )
    seconds = time.perf_counter() - chooser.started
    written = [
        _read(prompt, row, stop_ids) for prompt, row in zip(prompts, generated[:, longest:].tolist(), strict=True)
    ]
    for row, answer in enumerate(written):
        answer.broken = row in chooser.broken_rows
        answer.seconds = seconds / len(prompts)
        answer.first_token_seconds = chooser.first_token_seconds
    return written


def _read(prompt: Prompt, tokens: list[int], stop_ids: Sequence[int]) -> Written:
    tokens = tokens[: prompt.max_new_tokens]
    end = next((place for place, token in enumerate(tokens) if token in stop_ids), None)
    return Written(prompt, tokens if end is None else tokens[: end + 1], end is not None)


class _Chooser(LogitsProcessor):
    """Leaves `generate` nothing to choose, so that answers are drawn as they are elsewhere; and looks at the clock."""

    def __init__(self, samplers: Sequence[Sampler | None]) -> None:
        self._samplers = samplers
        self.broken_rows: set[int] = set()
        """Those whose logits were no numbers once."""
        self.started = time.perf_counter()
        self.first_token_seconds = 0.0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if not self.first_token_seconds:
            self.first_token_seconds = time.perf_counter() - self.started
        chosen_tokens = choose_tokens(scores, self._samplers)
        self.broken_rows |= {row for row, token in enumerate(chosen_tokens) if token is None}
        chosen = torch.tensor([token or 0 for token in chosen_tokens], device=scores.device)
        return torch.full_like(scores, -torch.inf).scatter_(1, chosen[:, None], 0.0)


class _StopRequested(StoppingCriteria):
    """Looks at the request after every token: a batch may take minutes, and a drained node gives seconds."""

    def __init__(self, stop_requested: StopRequested) -> None:
        self._stop_requested = stop_requested

    def __call__(self, input_ids: torch.Tensor, _scores: Any, **_: Any) -> torch.Tensor:
        return torch.full((len(input_ids),), self._stop_requested(), device=input_ids.device)


def weigh_static(
    speaker: Callable[[], PreTrainedModel], questions: Sequence[Weighable], stop_requested: StopRequested
) -> Iterator[Weighed]:
    """As `weigh`, each text by itself."""
    for question in questions:
        started = time.perf_counter()
        sums = []
        for text in question.texts:
            if stop_requested():
                return
            sums.append(_log_likelihood(speaker(), text.tokens, text.start))
        tokens = sum(len(text.tokens) - text.start for text in question.texts)
        yield Weighed(question.key, tuple(sums), tokens, time.perf_counter() - started)


@torch.inference_mode()
def _log_likelihood(model: PreTrainedModel, tokens: Sequence[int], start: int) -> float:
    weighed = len(tokens) - start
    ids = torch.tensor([tokens[:-1]], device=model.device)
    logits = model(input_ids=ids, use_cache=False, logits_to_keep=weighed).logits[0, -weighed:].float()
    targets = torch.tensor(tokens[start:], device=model.device)
    return float((logits.gather(1, targets[:, None])[:, 0] - logits.logsumexp(-1)).sum())
