"""Finds what is wrong with a run: the rows behind a loss that is no number, and losses that mean nothing was learned."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean

import torch

from fragua_platform.errors import FailureClass, FraguaError, Violation
from fragua_trainer.training.batch import Example
from fragua_trainer.training.run import Measured

ROWS_NAMED = 10
ZERO_LOSS = 1e-6
ZEROS_IN_A_ROW = 3
LOSSES_COMPARED = 8
"""Logged ones; fewer say nothing about where a loss goes."""
ENDS_COMPARED = 2
RISEN = 0.05
"""By less than this share a validation loss goes up and down in a good run, too."""
MOVED = 0.002
"""A smaller relative difference between the first and the last of them is none."""


class Diverged(FraguaError):
    """A step whose loss or gradient is not a number; it was not taken."""

    reason = "TRAINING_DIVERGED"
    failure_class = FailureClass.USER_CONFIG


def rows_at_fault(
    examples: Sequence[Example], parameters: Sequence[torch.Tensor], loss_of: Callable[[Example], torch.Tensor]
) -> list[Example]:
    """Those whose own loss or gradient is not a number; empty when it takes several together."""
    found = []
    for example in examples:
        loss = loss_of(example)
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        sums = [loss.item(), *(gradient.sum().item() for gradient in gradients if gradient is not None)]
        if not all(math.isfinite(value) for value in sums):
            found.append(example)
    return found


def with_rows(diverged: Diverged, step_rows: Sequence[Example], at_fault: Sequence[Example]) -> Diverged:
    """The same failure with the rows behind it: those at fault, or all of the step where no single one is."""
    named = (at_fault or step_rows)[:ROWS_NAMED]
    what = "gives a loss that is no number by itself" if at_fault else "is one of the rows of that step"
    rows = "rows at fault" if at_fault else "rows of that step, none of them alone at fault"
    listed = ", ".join(example.id or "without an id" for example in named)
    more = len(at_fault or step_rows) - len(named)
    every = len(at_fault) == len(step_rows) > 1
    hint = "; since all rows of the step are, look at the base's weights rather than at the rows" if every else ""
    return Diverged(
        f"{diverged.message}; {rows}: {listed}" + (f" and {more} more" if more else "") + hint,
        violations=[Violation(f"train.jsonl, row {example.id}", what) for example in named],
    )


def overfitting(losses: Sequence[float], validation: Measured | None) -> str:
    """What tells that the rows are learned by heart: their loss falls, and that of rows held out rises; else empty."""
    if validation is None or len(losses) < ENDS_COMPARED or losses[-1] >= losses[0]:
        return ""
    if validation.last <= validation.best * (1 + RISEN):
        return ""
    return (
        f"suspect: the rows are learned by heart: validation loss was {validation.best:.4f} at step {validation.best_step} "
        f"and is {validation.last:.4f} now, while the loss fell from {losses[0]:.4f} to {losses[-1]:.4f}; set "
        "early_stopping.patience for the best checkpoint, raise lora.dropout, or lower schedule.learning_rate or epochs"
    )


def suspicion(losses: Sequence[float]) -> str:
    """What is suspect about the logged losses of a run; empty when nothing is."""
    if len(losses) >= ZEROS_IN_A_ROW and max(losses[-ZEROS_IN_A_ROW:]) < ZERO_LOSS:
        return (
            "suspect: the loss is 0, so nothing more is learned; the answers may be empty or all the same, "
            "or the rows were learned by heart: look at them, or train for fewer epochs"
        )
    if len(losses) < LOSSES_COMPARED:
        return ""
    half = LOSSES_COMPARED // 2
    first, last = fmean(losses[:half]), fmean(losses[-half:])
    if abs(first - last) < MOVED * first:
        return (
            f"suspect: the loss does not move: {first:.4f} at first and {last:.4f} after {len(losses)} measurements; "
            "raise schedule.learning_rate, or look whether the answers follow from the questions at all"
        )
    return ""
