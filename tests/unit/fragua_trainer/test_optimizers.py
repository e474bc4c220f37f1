"""The optimizers of a run: what they step on, at which rate, and what a checkpoint brings back."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fragua_platform.errors import InvalidInput
from fragua_trainer.domain.training_spec import Optimizer, ScheduleSpec, Substitution
from fragua_trainer.training.optimizers import (
    choose_optimizer,
    make_optimizer,
    optimizer_tensors,
    restore_optimizer,
    set_learning_rate,
)

CPU = torch.device("cpu")
WIDTH = 8192


# R144
@pytest.mark.parametrize("kind", [Optimizer.ADAMW, Optimizer.ADAMW_8BIT])
def test_every_optimizer_goes_down_a_slope(kind: Optimizer) -> None:
    parameters = _parameters()
    optimizer = make_optimizer(parameters, ScheduleSpec(learning_rate=0.1), kind)

    _descend(optimizer, parameters, steps=30)

    assert all(float(parameter.detach().abs().mean()) < 0.2 for _, parameter in parameters)


def test_eight_bits_take_a_quarter_of_the_memory() -> None:
    sizes = {}
    for kind in (Optimizer.ADAMW, Optimizer.ADAMW_8BIT):
        parameters = _parameters()
        optimizer = make_optimizer(parameters, ScheduleSpec(), kind)
        _descend(optimizer, parameters, steps=1)
        sizes[kind] = sum(tensor.numel() * tensor.element_size() for tensor in optimizer_tensors(optimizer).values())

    assert sizes[Optimizer.ADAMW_8BIT] < 0.27 * sizes[Optimizer.ADAMW]


@pytest.mark.parametrize("kind", [Optimizer.ADAMW, Optimizer.ADAMW_8BIT])
def test_a_restored_optimizer_goes_on_bit_by_bit(kind: Optimizer) -> None:
    unbroken = _parameters()
    optimizer = make_optimizer(unbroken, ScheduleSpec(learning_rate=0.1), kind, lora_plus_ratio=4)
    _descend(optimizer, unbroken, steps=3)
    saved = {name: tensor.clone() for name, tensor in optimizer_tensors(optimizer).items()}
    resumed = [(name, nn.Parameter(parameter.detach().clone())) for name, parameter in unbroken]
    restored = make_optimizer(resumed, ScheduleSpec(learning_rate=0.1), kind, lora_plus_ratio=4)

    restore_optimizer(restored, saved)
    _descend(optimizer, unbroken, steps=3)
    _descend(restored, resumed, steps=3)

    for (_, one), (_, other) in zip(unbroken, resumed, strict=True):
        assert torch.equal(one, other)


def test_lora_plus_lets_b_learn_faster_than_a() -> None:
    parameters = _parameters()
    optimizer = make_optimizer(parameters, ScheduleSpec(), Optimizer.ADAMW, lora_plus_ratio=16)

    set_learning_rate(optimizer, 0.01)
    _descend(optimizer, parameters, steps=1)

    moved = {name: float((1 - parameter.detach()).mean()) for name, parameter in parameters}
    assert moved == {"q.lora_A.default.weight": pytest.approx(0.01), "q.lora_B.default.weight": pytest.approx(0.16)}


def test_paging_is_refused_where_there_is_no_gpu_to_page_from() -> None:
    with pytest.raises(InvalidInput, match="this run is on a CPU; take optimizer: adamw, or substitution: allow"):
        choose_optimizer(Optimizer.PAGED_ADAMW_8BIT, Substitution.REFUSE, CPU)


def test_the_same_without_paging_takes_its_place_where_that_is_allowed() -> None:
    chosen = choose_optimizer(Optimizer.PAGED_ADAMW_8BIT, Substitution.ALLOW, CPU)

    assert chosen.optimizer is Optimizer.ADAMW_8BIT
    assert chosen.notice.startswith("optimizer paged_adamw_8bit was replaced by adamw_8bit: ")


def _parameters() -> list[tuple[str, nn.Parameter]]:
    return [(f"q.lora_{side}.default.weight", nn.Parameter(torch.ones(WIDTH))) for side in "AB"]


def _descend(optimizer: torch.optim.Optimizer, parameters: list[tuple[str, nn.Parameter]], steps: int) -> None:
    """Towards zero."""
    for _ in range(steps):
        optimizer.zero_grad()
        sum((parameter**2).sum() for _, parameter in parameters).backward()  # type: ignore[union-attr]
        optimizer.step()
