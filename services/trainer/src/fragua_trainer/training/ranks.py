"""Several processes that take the steps of one run together, one on each GPU of the machine.

Every rank holds the whole adapter, and the whole base or its part (`sharding.py`). It computes the gradient of its share of each step's rows; the shares are summed, so
all ranks take the same optimizer step, and it is the step that one process alone would take. Only rank 0 tells, writes
checkpoints and leaves outputs. Ranks find each other by the variables that torchrun sets, whoever sets them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed

T = TypeVar("T")

_PATIENCE = timedelta(days=2)
"""A rank waits while rank 0 lets the model answer validation rows; one that died ends the others at once."""


@dataclass(frozen=True)
class Ranks:
    number: int = 0
    count: int = 1
    local: int = 0
    """Which GPU of this machine."""

    @property
    def first(self) -> bool:
        return self.number == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """What this rank does of `items`; every one is done by some rank."""
        return items[self.number :: self.count]

    def add_up(self, tensors: Sequence[torch.Tensor]) -> None:
        """Put the sum over all ranks in the place of each tensor. One message for all: adapters have many matrices."""
        if self.count == 1:
            return
        flat = torch.cat([tensor.detach().flatten().float() for tensor in tensors])
        distributed.all_reduce(flat)
        parts = flat.split([tensor.numel() for tensor in tensors])
        with torch.no_grad():
            for tensor, part in zip(tensors, parts, strict=True):
                tensor.copy_(part.view_as(tensor))

    def add_up_value(self, value: float, device: torch.device) -> float:
        if self.count == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=device)
        distributed.all_reduce(total)
        return float(total.item())

    def any(self, wish: bool, device: torch.device) -> bool:
        """Whether some rank wishes it; ranks that decided each for itself would wait for each other for ever."""
        if self.count == 1:
            return wish
        votes = torch.tensor(float(wish), device=device)
        distributed.all_reduce(votes)
        return bool(votes.item())

    def most(self, count: int, device: torch.device) -> int:
        """The greatest count of some rank."""
        if self.count == 1:
            return count
        greatest = torch.tensor(count, device=device)
        distributed.all_reduce(greatest, distributed.ReduceOp.MAX)
        return int(greatest.item())

    @contextmanager
    def in_turn(self, device: torch.device) -> Iterator[None]:
        """One rank after the other, for what takes much of the memory that they share."""
        for turn in range(self.count):
            if turn == self.number:
                yield
            self.any(False, device)  # the others wait here until it is done

    def as_first(self, value: float, device: torch.device) -> float:
        """Rank 0's value: clocks differ, and what they decide must not."""
        if self.count == 1:
            return value
        told = torch.tensor(value, dtype=torch.float64, device=device)
        distributed.broadcast(told, src=0)
        return float(told.item())


ALONE = Ranks()


def join_ranks() -> Ranks:
    """Meet the other ranks, where this process is one of several."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return ALONE
    ranks = Ranks(int(os.environ["RANK"]), count, int(os.environ["LOCAL_RANK"]))
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(ranks.local)
    distributed.init_process_group("nccl" if gpu else "gloo", timeout=_PATIENCE)
    return ranks


def leave_ranks() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()
