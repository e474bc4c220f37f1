"""Puts short examples behind each other in one sequence, so that nothing is computed for padding.

Examples stay strictly apart: positions start anew with each, and attention never crosses from one to the next. So the
loss is that of the same examples side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from fragua_trainer.training.batch import IGNORED, Example

PACK_TOKENS = 1536
"""Enough rows for the matrix products to run at full speed; longer packs only take more memory."""


@dataclass(frozen=True)
class Pack:
    """Examples behind each other."""

    tokens: torch.Tensor
    positions: torch.Tensor
    """Of each token in its own example."""
    lengths: tuple[int, ...]
    """Of the examples, in their order."""
    predicting: torch.Tensor
    """The places whose output is supervised: each comes right before a supervised token of its example."""
    targets: torch.Tensor
    """The token that each of these places has to predict."""

    @property
    def supervised_tokens(self) -> int:
        return len(self.targets)

    @property
    def token_count(self) -> int:
        return len(self.tokens)


def pack(examples: Sequence[Example], room: int) -> list[Pack]:
    """Spread `examples` over packs of at most `room` tokens; an example longer than that has a pack of its own.

    First fit, the longest first: within a few percent of the fewest packs, and the same packs for the same examples.
    """
    groups: list[list[Example]] = []
    free: list[int] = []
    for example in sorted(examples, key=lambda example: len(example.tokens), reverse=True):
        length = len(example.tokens)
        at = next((at for at, left in enumerate(free) if left >= length), len(groups))
        if at == len(groups):
            groups.append([])
            free.append(max(room, length))
        groups[at].append(example)
        free[at] -= length
    return [_join(group) for group in groups]


def _join(examples: Sequence[Example]) -> Pack:
    targets: list[int] = []
    for example in examples:
        # The output at the last token of an example predicts nothing: what follows belongs to another.
        targets += [*example.labels[1:], IGNORED]
    all_targets = torch.tensor(targets)
    predicting = (all_targets != IGNORED).nonzero().squeeze(1)
    return Pack(
        tokens=torch.tensor([token for example in examples for token in example.tokens]),
        positions=torch.cat([torch.arange(len(example.tokens)) for example in examples]),
        lengths=tuple(len(example.tokens) for example in examples),
        predicting=predicting,
        targets=all_targets[predicting],
    )
