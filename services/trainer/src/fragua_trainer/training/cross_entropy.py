"""Cross-entropy over a wide vocabulary, some rows at a time, with the gradient computed on the way.

Logits of a whole batch are the largest tensors of a fine-tune: 1,000 supervised tokens of a vocabulary of 150,000 take
600 MB, and as much again for their gradient. Here only some rows exist at a time, used while they are in the cache.
"""

from __future__ import annotations

from typing import Any

import torch

from fragua_trainer.training.products import Products

ROWS_AT_ONCE = 128
"""Of one product with the head; fewer make it slower."""
CACHED_LOGITS = 1 << 18
"""Logits that pass through softmax at once: 1 MiB in fp32, which stays in a core's cache."""


def summed_cross_entropy(
    hidden: torch.Tensor, head: torch.Tensor, targets: torch.Tensor, products: Products
) -> torch.Tensor:
    """Cross-entropy of softmax(hidden · headᵀ), summed over the rows; `head` is frozen."""
    loss: torch.Tensor = _FrozenHeadLoss.apply(hidden, head, targets, products)
    return loss


class _FrozenHeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, head: torch.Tensor, targets: torch.Tensor, products: Products
    ) -> torch.Tensor:
        wanted = ctx.needs_input_grad[0]
        gradient = torch.empty_like(hidden) if wanted else None
        loss = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for start in range(0, len(hidden), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            logits = products.linear(hidden[rows], head)
            loss += _loss_and_gradient(logits, targets[rows])
            if gradient is not None:
                gradient[rows] = products.back(logits, head)
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return loss

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient * gradients[0].to(gradient.dtype), None, None, None


def _loss_and_gradient(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The summed loss of these rows. Their gradient (probabilities, less one at the target) takes the logits' place."""
    loss = torch.zeros((), dtype=torch.float32, device=logits.device)
    step = max(1, CACHED_LOGITS // logits.shape[1])
    for start in range(0, len(logits), step):
        some, wanted = logits[start : start + step], targets[start : start + step, None]
        exact = some.float()
        probabilities = torch.softmax(exact, dim=1)
        # log Σ exp, from the greatest probability: that one cannot vanish, as the target's can.
        total = exact.amax(dim=1) - probabilities.amax(dim=1).log()
        loss += total.sum() - exact.gather(1, wanted).sum()
        probabilities.scatter_add_(1, wanted, torch.full_like(wanted, -1, dtype=torch.float32))
        some.copy_(probabilities)
    return loss
