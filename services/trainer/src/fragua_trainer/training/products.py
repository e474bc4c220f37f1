"""Matrix products in the way that is the faster one on this processor.

PyTorch multiplies fp32 matrices on a CPU by MKL, which on some of AMD's processors reaches half of what oneDNN does there.
Processors without instructions for bf16 multiply it at a seventh of their speed in fp32: for them frozen weights stay in
bf16 in memory, and are widened, some at a time, for each product.
"""

from __future__ import annotations

import time
from enum import StrEnum

import torch
from torch.nn import functional

CLEARLY_FASTER = 1.2
"""How much faster than torch a library must be: a choice near balance would change from run to run, and its bits with it."""
MEASURED_ROWS = 256
MEASURED_NUMBERS = 1 << 20
"""Of the weight, at most: enough for both libraries to run at full speed."""
MEASURED_ROUNDS = 10
WORTH_MEASURING = 256 * 256
"""Weights of smaller matrices; with those, calls cost more than products."""
WIDENED_NUMBERS = 1 << 24
"""Weights that are in memory in both widths at once: 64 MiB, where the output head of a model may have 2 GB."""


class Library(StrEnum):
    TORCH = "torch"
    ONEDNN = "onednn"
    """For fp32."""
    WIDENED = "widened"
    """For frozen weights in bf16: torch in fp32, with all that is computed from them in fp32 as well."""


class Products:
    """Products with frozen weights. `library` may change between steps."""

    def __init__(self, library: Library = Library.TORCH) -> None:
        self.library = library

    def linear(self, inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """inputs · weightᵀ + bias, as a linear layer."""
        if self.library is Library.ONEDNN:
            return _onednn(inputs, weight, bias)
        if self.library is Library.WIDENED:
            return _widened(inputs, weight, bias)
        return functional.linear(inputs, weight, bias)

    def back(self, gradient: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """gradient · weight: the way back through a linear layer."""
        if self.library is Library.ONEDNN:
            return _onednn(gradient, weight.t(), None)
        if self.library is Library.WIDENED:
            return _widened_back(gradient, weight)
        return gradient @ weight


def faster_library(weight: torch.Tensor) -> Library:
    """Measured on products with `weight`; a fraction of a second."""
    other = _other_library(weight)
    if other is None:
        return Library.TORCH
    weight = weight[: max(1, MEASURED_NUMBERS // weight.shape[1])]
    inputs = torch.ones(MEASURED_ROWS, weight.shape[1], dtype=weight.dtype)
    fastest = dict.fromkeys((Library.TORCH, other), float("inf"))
    for _ in range(1 + MEASURED_ROUNDS):  # in turns, so that what slows the machine down slows both
        for library in fastest:
            # CPU time: by the clock, somebody else's work in between would decide.
            started = time.process_time()
            Products(library).linear(inputs, weight)
            fastest[library] = min(fastest[library], time.process_time() - started)
    return other if fastest[Library.TORCH] > CLEARLY_FASTER * fastest[other] else Library.TORCH


def _other_library(weight: torch.Tensor) -> Library | None:
    """What may be faster than torch for weights like this."""
    if weight.device.type != "cpu" or weight.numel() < WORTH_MEASURING:
        return None
    if weight.dtype == torch.bfloat16:
        return Library.WIDENED
    offered = weight.dtype == torch.float32 and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return Library.ONEDNN if offered else None


def _onednn(inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")
    return product


def _widened(inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    inputs = inputs.float()
    product = inputs.new_empty(len(inputs), len(weight))
    rows = _widened_rows(weight)
    for some, place in zip(weight.split(rows), product.split(rows, dim=1), strict=True):
        torch.mm(inputs, some.float().t(), out=place)
    return product if bias is None else product.add_(bias)


def _widened_back(gradient: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    product = gradient.new_zeros(len(gradient), weight.shape[1], dtype=torch.float32)
    rows = _widened_rows(weight)
    for some, arriving in zip(weight.split(rows), gradient.float().split(rows, dim=1), strict=True):
        product.addmm_(arriving, some.float())
    return product


def _widened_rows(weight: torch.Tensor) -> int:
    return max(1, WIDENED_NUMBERS // weight.shape[1])
