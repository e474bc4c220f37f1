"""Matrix products by the library that is the faster one on this processor.

PyTorch multiplies fp32 matrices on a CPU by MKL, which on AMD's processors reaches half of what oneDNN does there.
"""

from __future__ import annotations

import time
from enum import StrEnum

import torch
from torch.nn import functional

CLEARLY_FASTER = 1.2
"""How much faster oneDNN must be to be taken: a choice near balance would change from run to run, and its bits with it."""
MEASURED_ROWS = 256
MEASURED_ROUNDS = 10
WORTH_MEASURING = 256 * 256
"""Weights of smaller matrices; with those, calls cost more than products."""


class Library(StrEnum):
    TORCH = "torch"
    ONEDNN = "onednn"


class Products:
    """Products with frozen weights. `library` may change between steps."""

    def __init__(self, library: Library = Library.TORCH) -> None:
        self.library = library

    def linear(self, inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """inputs · weightᵀ + bias, as a linear layer."""
        if self.library is Library.ONEDNN:
            return _onednn(inputs, weight, bias)
        return functional.linear(inputs, weight, bias)

    def back(self, gradient: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """gradient · weight: the way back through a linear layer."""
        if self.library is Library.ONEDNN:
            return _onednn(gradient, weight.t(), None)
        return gradient @ weight


def faster_library(weight: torch.Tensor) -> Library:
    """Measured on products with `weight`; a fraction of a second."""
    measurable = weight.device.type == "cpu" and weight.dtype == torch.float32 and weight.numel() >= WORTH_MEASURING
    if not (measurable and hasattr(torch.ops.mkldnn, "_linear_pointwise")):
        return Library.TORCH
    inputs = torch.ones(MEASURED_ROWS, weight.shape[1])
    fastest = dict.fromkeys(Library, float("inf"))
    for _ in range(1 + MEASURED_ROUNDS):  # in turns, so that what slows the machine down slows both
        for library in Library:
            # CPU time: by the clock, somebody else's work in between would decide.
            started = time.process_time()
            Products(library).linear(inputs, weight)
            fastest[library] = min(fastest[library], time.process_time() - started)
    return Library.ONEDNN if fastest[Library.TORCH] > CLEARLY_FASTER * fastest[Library.ONEDNN] else Library.TORCH


def _onednn(inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")
    return product
