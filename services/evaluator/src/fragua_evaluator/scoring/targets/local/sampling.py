"""Chooses the next token of each answer: the likeliest one, or one drawn by the question's own seed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from fragua_evaluator.domain.arm import Decoding
from fragua_evaluator.scoring.targets.port import Question

_LIKELY = 1_024
"""So many tokens hold `top_p` of the mass nearly always, and sorting them alone is much faster than all."""


@dataclass
class Sampler:
    """One per question, so that a draw depends on the question and on nothing that is answered beside it."""

    decoding: Decoding
    generator: torch.Generator

    @classmethod
    def of(cls, question: Question, decoding: Decoding) -> Sampler:
        # Mixed with the item's name: with one seed for all, all answers would draw the same numbers.
        mixed = hashlib.blake2b(f"{question.seed}/{question.suite}/{question.item}".encode(), digest_size=8).digest()
        return cls(decoding, torch.Generator().manual_seed(int.from_bytes(mixed, "big") >> 1))

    def draw(self, logits: torch.Tensor) -> int:
        """Of one row. Tokens stand in the order of their ids when the draw falls among them, because the order of their
        probabilities may hang on the last bit of a sum."""
        chances = torch.softmax(logits.double().cpu() / self.decoding.temperature, dim=-1)
        if self.decoding.top_p < 1:
            chances = self._nucleus(chances)
        bounds = chances.cumsum(0)
        point = torch.rand((), generator=self.generator, dtype=torch.float64) * bounds[-1]
        drawn = int(torch.searchsorted(bounds, point, right=True))
        return min(drawn, int(chances.nonzero()[-1]))

    def _nucleus(self, chances: torch.Tensor) -> torch.Tensor:
        """The fewest tokens that together have `top_p` of the mass; the others become impossible."""
        likely = chances.topk(min(_LIKELY, len(chances)))
        if likely.values.sum() < self.decoding.top_p:
            likely = chances.topk(len(chances))
        before = likely.values.cumsum(0) - likely.values
        kept = likely.indices[before < self.decoding.top_p]
        return torch.zeros_like(chances).index_copy_(0, kept, chances[kept])


def choose_tokens(logits: torch.Tensor, samplers: Sequence[Sampler | None]) -> list[int | None]:
    """One token for each row, the likeliest where there is no sampler; None where the logits are no numbers."""
    highest, likeliest = logits.max(-1)
    return [
        None if not math.isfinite(value) else token if sampler is None else sampler.draw(row)
        for value, token, sampler, row in zip(highest.tolist(), likeliest.tolist(), samplers, logits, strict=True)
    ]
