"""Tokenised examples, and how they are put side by side for the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

IGNORED = -100
"""The label of a token that the loss does not count; cross-entropy's own convention."""


@dataclass(frozen=True)
class Example:
    tokens: list[int]
    labels: list[int]
    id: str = ""
    """Of the dataset row, for messages."""


@dataclass(frozen=True)
class Batch:
    """Examples side by side, padded on the right."""

    tokens: torch.Tensor
    attention_mask: torch.Tensor
    labels: torch.Tensor

    @property
    def supervised_tokens(self) -> int:
        return int((self.labels != IGNORED).sum())

    @property
    def token_count(self) -> int:
        """Without padding."""
        return int(self.attention_mask.sum())

    def to(self, device: torch.device) -> Batch:
        return Batch(self.tokens.to(device), self.attention_mask.to(device), self.labels.to(device))


def collate(examples: Sequence[Example]) -> Batch:
    """Padding is known by its place, not by its id: where a tokenizer pads with EOS, a real EOS keeps its label."""
    width = max(len(example.tokens) for example in examples)
    shape = (len(examples), width)
    tokens = torch.zeros(shape, dtype=torch.long)
    attention_mask = torch.zeros(shape, dtype=torch.long)
    labels = torch.full(shape, IGNORED, dtype=torch.long)
    for row, example in enumerate(examples):
        length = len(example.tokens)
        tokens[row, :length] = torch.tensor(example.tokens)
        attention_mask[row, :length] = 1
        labels[row, :length] = torch.tensor(example.labels)
    return Batch(tokens, attention_mask, labels)
