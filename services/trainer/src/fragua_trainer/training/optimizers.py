"""The optimizers of a run: AdamW and its 8-bit forms, LoRA+ learning rates, and what a checkpoint keeps of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from fragua_platform.errors import InvalidInput, Violation
from fragua_trainer.domain.training_spec import Optimizer, ScheduleSpec, Substitution

_BY_NEARNESS = (Optimizer.PAGED_ADAMW_8BIT, Optimizer.ADAMW_8BIT, Optimizer.ADAMW)
_RATIO = "learning_rate_ratio"
_PROBE_ELEMENTS = 8192
"""bitsandbytes keeps the moments of tensors below 4096 elements in 32 bits."""


@dataclass(frozen=True)
class ChosenOptimizer:
    optimizer: Optimizer
    notice: str = ""
    """What was put in place of what was asked, and why; empty when nothing was."""


def choose_optimizer(asked: Optimizer, substitution: Substitution, device: torch.device) -> ChosenOptimizer:
    """What was asked where it works; else the nearest that does, or `InvalidInput`, as `substitution` says."""
    reasons: dict[Optimizer, str] = {}
    for candidate in _BY_NEARNESS[_BY_NEARNESS.index(asked) :]:
        reason = why_impossible(candidate, device)
        if not reason:
            replaced = "; ".join(f"{name.value}: {why}" for name, why in reasons.items())
            notice = f"optimizer {asked.value} was replaced by {candidate.value}: {replaced}" if replaced else ""
            return ChosenOptimizer(candidate, notice)
        reasons[candidate] = reason
        if substitution is Substitution.REFUSE:
            problem = (
                f"{asked.value} is impossible here: {reason}; take optimizer: adamw, "
                "or substitution: allow for the nearest that works"
            )
            raise InvalidInput(problem, violations=[Violation("optimizer", problem)], reason="NOT_SUPPORTED_HERE")
    raise AssertionError("torch's own AdamW works everywhere")


def why_impossible(optimizer: Optimizer, device: torch.device) -> str:
    """Why no step can be taken with it on this machine; empty when it can."""
    if optimizer is Optimizer.ADAMW:
        return ""
    if optimizer is Optimizer.PAGED_ADAMW_8BIT and device.type == "cpu":
        return "it pages a GPU's memory out, and this run is on a CPU"
    parameter = nn.Parameter(torch.ones(_PROBE_ELEMENTS, device=device))
    parameter.grad = torch.ones_like(parameter)
    try:
        _constructor(optimizer)([parameter], lr=0.5, weight_decay=0.0).step()
    except ImportError as missing:
        return f"bitsandbytes cannot be imported ({missing})"
    except Exception as broken:  # Whatever a native library raises for a machine that it was not built for.
        return f"bitsandbytes fails on this {device.type} ({type(broken).__name__}: {broken})"
    # Adam's first step is as long as the learning rate, whatever the gradient.
    if not torch.allclose(parameter.detach(), torch.full_like(parameter, 0.5), atol=0.05):
        return f"bitsandbytes takes a wrong step on this {device.type}"
    return ""


def make_optimizer(
    parameters: Sequence[tuple[str, nn.Parameter]],
    schedule: ScheduleSpec,
    optimizer: Optimizer = Optimizer.ADAMW,
    lora_plus_ratio: float = 1.0,
) -> torch.optim.Optimizer:
    """`optimizer` over named parameters; with LoRA+ the matrices B learn `lora_plus_ratio` times as fast."""
    faster = [parameter for name, parameter in parameters if lora_plus_ratio != 1.0 and ".lora_B." in name]
    chosen = {id(parameter) for parameter in faster}
    others = [parameter for _, parameter in parameters if id(parameter) not in chosen]
    groups = [{"params": others, _RATIO: 1.0}, {"params": faster, _RATIO: lora_plus_ratio}]
    return _constructor(optimizer)(
        [group for group in groups if group["params"]], lr=schedule.learning_rate, weight_decay=schedule.weight_decay
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group[_RATIO]


def trained_parameters(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The optimizer's memory, by the position of each parameter: `0.exp_avg`, `0.step`, …"""
    return {
        f"{position}.{name}": value if isinstance(value, torch.Tensor) else torch.tensor(value)
        for position, parameter in enumerate(trained_parameters(optimizer))
        for name, value in optimizer.state.get(parameter, {}).items()
        # bitsandbytes' tables of 8-bit values are the same for all parameters and known beforehand.
        if name not in _TABLES
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    """Put back what `optimizer_tensors` told."""
    parameters = trained_parameters(optimizer)
    tables: dict[str, torch.Tensor] = getattr(optimizer, "name2qmap", {})
    optimizer.state.clear()
    for key, tensor in tensors.items():
        position, name = key.split(".")
        parameter = parameters[int(position)]
        state = optimizer.state[parameter]
        # Torch counts steps in a tensor on the CPU, bitsandbytes in a number.
        if name == "step":
            state[name] = int(tensor) if tables else tensor.clone()
        else:
            state[name] = tensor.to(parameter.device, copy=True)
        if name == "state1" and tensor.dtype is torch.uint8:
            state |= {table: tables[of].to(parameter.device) for table, of in _TABLES.items()}


_TABLES = {"qmap1": "dynamic", "qmap2": "udynamic"}


def _constructor(optimizer: Optimizer) -> Callable[..., torch.optim.Optimizer]:
    if optimizer is Optimizer.ADAMW:
        return torch.optim.AdamW
    # Imported only where asked for: not every platform has a build of it.
    from bitsandbytes.optim.adamw import AdamW8bit, PagedAdamW8bit

    constructors: dict[Optimizer, Any] = {
        Optimizer.ADAMW_8BIT: AdamW8bit,
        Optimizer.PAGED_ADAMW_8BIT: PagedAdamW8bit,
    }
    constructor: Callable[..., torch.optim.Optimizer] = constructors[optimizer]
    return constructor
