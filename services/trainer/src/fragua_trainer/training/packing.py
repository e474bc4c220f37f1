"""Puts short examples behind each other in one sequence, so that nothing is computed for padding.

Examples stay strictly apart: positions start anew with each, and attention never crosses from one to the next. So the
loss is that of the same examples side by side. What all of them begin with, such as the same instructions in front of
every question, is in the pack only once: nothing before the first answer depends on what comes after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import torch

from fragua_trainer.training.batch import IGNORED, Example

PACK_TOKENS = 1536
"""Enough rows for the matrix products to run at full speed; longer packs only take more memory."""
WORTH_SHARING = 16
"""Tokens; a shorter common beginning costs as much as it saves."""


@dataclass(frozen=True)
class Pack:
    """Examples behind each other."""

    tokens: torch.Tensor
    positions: torch.Tensor
    """Of each token in its own example."""
    shared: int
    """Tokens at the beginning of the pack that belong to every example in it."""
    lengths: tuple[int, ...]
    """Of the examples after what they share, in their order."""
    predicting: torch.Tensor
    """The places whose output is supervised: each comes right before a supervised token of its example."""
    targets: torch.Tensor
    """The token that each of these places has to predict."""
    token_count: int
    """Of the examples as they came, whatever they share."""

    @property
    def supervised_tokens(self) -> int:
        return len(self.targets)


def pack(examples: Sequence[Example], room: int) -> list[Pack]:
    """Spread `examples` over packs of at most `room` tokens; an example longer than that has a pack of its own.

    First fit, the longest first: within a few percent of the fewest packs, and the same packs for the same examples.
    """
    shared = _common_beginning(examples)
    groups: list[list[Example]] = []
    free: list[int] = []
    for example in sorted(examples, key=lambda example: len(example.tokens), reverse=True):
        length = len(example.tokens) - shared
        at = next((at for at, left in enumerate(free) if left >= length), len(groups))
        if at == len(groups):
            groups.append([])
            free.append(max(room - shared, length))
        groups[at].append(example)
        free[at] -= length
    return [_join(group, shared if len(group) > 1 else 0) for group in groups]


def _common_beginning(examples: Sequence[Example]) -> int:
    """How many tokens all examples begin with, where none is supervised and neither is the one that follows."""
    if len(examples) < 2:
        return 0
    prompts = [len(list(takewhile(lambda label: label == IGNORED, example.labels))) for example in examples]
    columns = zip(
        *(example.tokens[: prompt - 1] for example, prompt in zip(examples, prompts, strict=True)), strict=False
    )
    shared = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))
    return shared if shared >= WORTH_SHARING else 0


def _join(examples: Sequence[Example], shared: int) -> Pack:
    tokens = examples[0].tokens[:shared]
    positions = [torch.arange(shared)]
    targets = [IGNORED] * shared
    for example in examples:
        tokens = tokens + example.tokens[shared:]
        positions.append(torch.arange(shared, len(example.tokens)))
        # The output at the last token of an example predicts nothing: what follows belongs to another.
        targets += [*example.labels[shared + 1 :], IGNORED]
    all_targets = torch.tensor(targets)
    predicting = (all_targets != IGNORED).nonzero().squeeze(1)
    return Pack(
        tokens=torch.tensor(tokens),
        positions=torch.cat(positions),
        shared=shared,
        lengths=tuple(len(example.tokens) - shared for example in examples),
        predicting=predicting,
        targets=all_targets[predicting],
        token_count=sum(len(example.tokens) for example in examples),
    )
