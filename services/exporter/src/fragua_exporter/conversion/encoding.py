"""Turns rows of 32-bit numbers into the bytes of GGUF's storage types, bit for bit as llama.cpp's converter does."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle

import numpy as np
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

Encode = Callable[[torch.Tensor], torch.Tensor]
"""Gets whole rows; what it returns is overwritten by the next call but one."""

_Q8_0_BLOCK, _Q8_0_BYTES = GGML_QUANT_SIZES[GGMLQuantizationType.Q8_0]
# C's roundf rounds halves away from zero. Truncating x + .5 does so too, but for the number just below .5.
_ALMOST_HALF_BITS = int(np.nextafter(np.float32(0.5), np.float32(0.0)).view(np.int32))
_SIGN_BIT = -(2**31)


def encoder(stored: GGMLQuantizationType) -> Encode:
    match stored:
        case GGMLQuantizationType.F32:
            return _alternate(_Cast(torch.float32), _Cast(torch.float32))
        case GGMLQuantizationType.F16:
            return _alternate(_Cast(torch.float16), _Cast(torch.float16))
        case GGMLQuantizationType.BF16:
            return _alternate(_Cast(torch.bfloat16), _Cast(torch.bfloat16))
        case GGMLQuantizationType.Q8_0:
            return _alternate(_EightBits(), _EightBits())
    raise ValueError(f"{stored.name} is written by llama.cpp's own quantizer")


def _alternate(*encoders: Encode) -> Encode:
    """One result can be written to the disk while the next is computed."""
    turns = cycle(encoders)
    return lambda rows: next(turns)(rows)


# Fresh memory costs more than the arithmetic here: the kernel hands it out page by page, and each page filled with
# zeros. So both classes keep their buffers.


class _Cast:
    def __init__(self, dtype: torch.dtype) -> None:
        self._values = torch.empty(0, dtype=dtype)

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        if len(self._values) < rows.numel():
            self._values = torch.empty(rows.numel(), dtype=self._values.dtype)
        return self._values[: rows.numel()].view(rows.shape).copy_(rows)


class _EightBits:
    """Q8_0: of 32 numbers the largest, divided by 127, as a 16-bit scale, and each number as a multiple of it."""

    def __init__(self) -> None:
        self._grow(0)

    def _grow(self, blocks: int) -> None:
        self._scaled = torch.empty(blocks, _Q8_0_BLOCK)
        self._halves = torch.empty(blocks, _Q8_0_BLOCK)
        """With the signs of the scaled numbers."""
        self._encoded = torch.empty(blocks, _Q8_0_BYTES, dtype=torch.int8)

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        values = rows.view(-1, _Q8_0_BLOCK)
        if len(self._encoded) < len(values):
            self._grow(len(values))
        scaled, halves = self._scaled[: len(values)], self._halves[: len(values)]
        encoded = self._encoded[: len(values)]
        scale = torch.abs(values, out=scaled).amax(1, keepdim=True).div_(127)
        torch.mul(values, torch.where(scale == 0, 0, 1 / scale), out=scaled)
        # copysign, by bits: it is not vectorised.
        signs = torch.bitwise_and(scaled.view(torch.int32), _SIGN_BIT, out=halves.view(torch.int32))
        signs.bitwise_or_(_ALMOST_HALF_BITS)
        scaled.add_(halves)
        encoded[:, :2] = scale.half().view(torch.int8)
        encoded[:, 2:] = scaled  # Truncates.
        return encoded
