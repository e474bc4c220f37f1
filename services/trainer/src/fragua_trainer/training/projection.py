"""Linear layers with LoRA that read the same input, computed as one.

PEFT's layers convert their input to fp32 and back, copy their output for each addition, and keep all of it for the way
back. `FusedLora` computes the same from the same parameters: one product with the frozen weights of all layers below
each other, and the updates added in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from peft.tuners.lora.layer import Linear as LoraLinear
from torch import nn

from fragua_trainer.training.products import Products


class Projection(Protocol):
    def __call__(self, inputs: torch.Tensor, training: bool) -> torch.Tensor:
        """The outputs of all layers side by side, from inputs [token, channel]."""


def join(layers: Sequence[nn.Module], products: Products) -> Projection:
    if all(_is_plain(layer) for layer in layers):
        return FusedLora(layers, products)
    return SeparateLayers(layers)


class SeparateLayers:
    """Layers as they are, for those that compute in their own way: quantized bases, DoRA, trained biases."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self._layers = layers
        self._bf16 = any(parameter.dtype == torch.bfloat16 for layer in layers for parameter in layer.parameters())

    def __call__(self, inputs: torch.Tensor, training: bool) -> torch.Tensor:
        short = self._bf16 or inputs.dtype == torch.bfloat16
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=short):
            return torch.cat([layer(inputs[None])[0] for layer in self._layers], dim=-1).to(inputs.dtype)


class FusedLora:
    def __init__(self, layers: Sequence[nn.Module], products: Products) -> None:
        bases = [_base_of(layer) for layer in layers]
        self._products = products
        self._weight = _share_storage([base.weight for base in bases])
        self._bias = _joined_bias(bases)
        self._updates = []
        self._dropout = 0.0
        end = 0
        for layer, base in zip(layers, bases, strict=True):
            start, end = end, end + base.out_features
            if isinstance(layer, LoraLinear):
                (name,) = layer.active_adapters
                self._updates.append((slice(start, end), layer, name))
                self._dropout = getattr(layer.lora_dropout[name], "p", 0.0)

    def __call__(self, inputs: torch.Tensor, training: bool) -> torch.Tensor:
        if not self._updates:
            output: torch.Tensor = _FrozenLinear.apply(inputs, self._weight, self._bias, self._products)
            return output
        places = [place for place, _, _ in self._updates]
        scales = [layer.scaling[name] for _, layer, name in self._updates]
        downs = [layer.lora_A[name].weight for _, layer, name in self._updates]
        ups = [layer.lora_B[name].weight for _, layer, name in self._updates]
        dropout = self._dropout if training else 0.0
        updated: torch.Tensor = _FusedLoraFunction.apply(
            inputs, self._weight, self._bias, self._products, places, scales, dropout, *downs, *ups
        )
        return updated


class _FrozenLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, products: Products
    ) -> torch.Tensor:
        ctx.save_for_backward(weight)
        ctx.products = products
        return products.linear(inputs, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        return ctx.products.back(gradients[0], weight), None, None, None


class _FusedLoraFunction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        inputs: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        products: Products,
        places: list[slice],
        scales: list[float],
        dropout: float,
        *matrices: torch.Tensor,
    ) -> torch.Tensor:
        downs, ups = matrices[: len(places)], matrices[len(places) :]
        output = products.linear(inputs, weight, bias)
        kept = _draw_kept(inputs, dropout)
        down = torch.cat(downs).to(inputs.dtype)
        ups = tuple((up * scale).to(inputs.dtype) for up, scale in zip(ups, scales, strict=True))
        inner = products.linear(_drop(inputs, kept, dropout), down)
        for place, up, part in zip(places, ups, inner.split([len(matrix) for matrix in downs], dim=1), strict=True):
            output[:, place].addmm_(part, up.t())
        ctx.save_for_backward(inputs, weight, kept, inner, down, *ups)
        ctx.products, ctx.places, ctx.scales, ctx.dropout = products, places, scales, dropout
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[Any, ...]:
        inputs, weight, kept, inner, down, *ups = ctx.saved_tensors
        arriving = gradients[0]
        ranks = [up.shape[1] for up in ups]
        to_inner = torch.empty_like(inner)
        to_ups = []
        for place, up, scale, part, to_part in zip(
            ctx.places, ups, ctx.scales, inner.split(ranks, dim=1), to_inner.split(ranks, dim=1), strict=True
        ):
            arrived = arriving[:, place]
            torch.mm(arrived, up, out=to_part)
            to_ups.append((part.t() @ arrived).t().float() * scale)
        to_down = (to_inner.t() @ _drop(inputs, kept, ctx.dropout)).float()
        to_inputs = None
        if ctx.needs_input_grad[0]:
            to_inputs = ctx.products.back(arriving, weight)
            if kept is None:
                to_inputs.addmm_(to_inner, down)
            else:
                to_inputs += _drop(to_inner @ down, kept, ctx.dropout)
        return to_inputs, None, None, None, None, None, None, *to_down.split(ranks), *to_ups


def _draw_kept(inputs: torch.Tensor, dropout: float) -> torch.Tensor | None:
    """Which inputs dropout leaves, each with probability 1 - dropout to within 1/65536.

    Four decisions from each random number: on a CPU a number per decision costs as much as half of the layer's product.
    """
    if not dropout:
        return None
    numbers = torch.empty(-(-inputs.numel() // 4), dtype=torch.int64, device=inputs.device).random_(-(2**63), None)
    decisions = numbers.view(torch.int16)[: inputs.numel()].view(inputs.shape)
    return decisions >= round(dropout * 65536) - 32768


def _drop(inputs: torch.Tensor, kept: torch.Tensor | None, dropout: float) -> torch.Tensor:
    return inputs if kept is None else inputs * kept / (1 - dropout)


def _is_plain(layer: nn.Module) -> bool:
    """Whether the layer is a frozen matrix, with the plain LoRA update or with none."""
    if type(layer) is LoraLinear:
        names = layer.active_adapters
        if len(names) != 1 or layer.merged or layer.disable_adapters or layer.fan_in_fan_out:
            return False
        if names[0] not in layer.lora_A or names[0] in layer.lora_variant or layer.lora_bias[names[0]]:
            return False
        if not isinstance(layer.lora_dropout[names[0]], nn.Dropout | nn.Identity):
            return False
    base = _base_of(layer)
    # Exactly this class: quantized layers inherit from it and hold their weights in another form.
    return type(base) is nn.Linear and not any(parameter.requires_grad for parameter in base.parameters())


def _base_of(layer: nn.Module) -> Any:
    return layer.get_base_layer() if isinstance(layer, LoraLinear) else layer


def _share_storage(weights: list[nn.Parameter]) -> torch.Tensor:
    """All weights below each other. The layers then hold views of it, so nothing is in memory twice."""
    if len(weights) == 1:
        return weights[0].detach()
    joined = torch.cat([weight.detach() for weight in weights])
    for weight, part in zip(weights, joined.split([len(weight) for weight in weights]), strict=True):
        weight.data = part
    return joined


def _joined_bias(bases: list[Any]) -> torch.Tensor | None:
    if all(base.bias is None for base in bases):
        return None
    return torch.cat(
        [base.weight.new_zeros(base.out_features) if base.bias is None else base.bias.detach() for base in bases]
    )
