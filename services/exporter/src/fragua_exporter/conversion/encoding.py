"""Turns rows of numbers into the bytes of GGUF's storage types, bit for bit as llama.cpp's converter does.

In numpy, because to import torch takes longer than to convert a model of 300 million parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from fragua_exporter.conversion.checkpoint import BF16, Widening

Encode = Callable[[np.ndarray], np.ndarray]
"""Gets whole rows of numbers that the type can hold, in 32 bits or as they were read. What it returns is overwritten by
the next call but one, or is the very rows where they are 16-bit numbers of the type already."""
Kernel = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], None]
"""Gets numbers in a row, two arrays of as many in which it may leave anything, and where the result goes."""

_F32, _F16 = np.dtype(np.float32), np.dtype(np.float16)
_Q8_0_BLOCK, _Q8_0_BYTES = GGML_QUANT_SIZES[GGMLQuantizationType.Q8_0]
# C's roundf rounds halves away from zero. Truncating x + .5 does so too, but for the number just below .5.
_ALMOST_HALF_BITS = np.nextafter(np.float32(0.5), np.float32(0.0)).view(np.uint32)
_SIGN_BIT = np.uint32(1 << 31)
_EXPONENT_BITS = np.uint32(0xFF << 23)
# 2^-14 in bf16: below it 16-bit floats have no own power of two.
_SMALLEST_OF_F16 = (127 - 14) << 7


def encoder(stored: GGMLQuantizationType) -> _Encoder:
    match stored:
        case GGMLQuantizationType.F32:
            return _Encoder({_F32: _as_f32}, np.float32)
        case GGMLQuantizationType.F16:
            return _Encoder({_F32: _as_f16, BF16: _bf16_as_f16, _F16: None}, np.uint16)
        case GGMLQuantizationType.BF16:
            return _Encoder({_F32: _as_bf16, BF16: None}, np.uint16)
        case GGMLQuantizationType.Q8_0:
            return _Encoder({_F32: _as_q8_0}, np.int8, _Q8_0_BLOCK, _Q8_0_BYTES)
    raise ValueError(f"{stored.name} is written by llama.cpp's own quantizer")


class Encoders:
    """Several storage types at once; rows that one of them needs in 32 bits are brought there once."""

    def __init__(self) -> None:
        self._encoders: dict[GGMLQuantizationType, _Encoder] = {}
        self._widen = Widening()

    def __call__(self, rows: np.ndarray, types: Set[GGMLQuantizationType]) -> dict[GGMLQuantizationType, np.ndarray]:
        for stored in types - self._encoders.keys():
            self._encoders[stored] = encoder(stored)
        chosen = {stored: self._encoders[stored] for stored in types}
        wide = rows if all(each.takes(rows.dtype) for each in chosen.values()) else self._widen(rows)
        return {stored: each(rows if each.takes(rows.dtype) else wide) for stored, each in chosen.items()}


def largest_magnitude(rows: np.ndarray) -> float:
    """Infinity or not a number if there is any of these."""
    if rows.dtype == np.float32:
        return max(-float(rows.min()), float(rows.max()))
    # As integers 16-bit floats have the same order, but for the sign bit in front: it makes one reading of them large
    # and the other negative.
    negative, positive = int(rows.view(np.uint16).max()), int(rows.view(np.int16).max())
    bits = np.uint16(max(negative & 0x7FFF if negative >> 15 else 0, positive, 0))
    return float(bits.view(np.float16) if rows.dtype == np.float16 else (np.uint32(bits) << 16).view(np.float32))


class _Encoder:
    """Keeps its arrays, for fresh memory costs more than the arithmetic here: the kernel hands it out page by page, and
    each page filled with zeros. Of results there are two: one can be written to the disk while the next is computed."""

    def __init__(
        self, kernels: Mapping[np.dtype, Kernel | None], dtype: type[np.generic], block: int = 1, width: int = 1
    ) -> None:
        self._kernels = kernels
        self._block, self._width = block, width
        self._spare = np.empty((2, 0), np.float32)
        self._results = np.empty((2, 0), dtype)
        self._turn = 0

    def takes(self, dtype: np.dtype) -> bool:
        return dtype in self._kernels

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        kernel = self._kernels[rows.dtype]
        if kernel is None:
            return rows.reshape(-1)
        size, count = rows.size, rows.size // self._block * self._width
        if self._spare.shape[1] < size:
            self._spare = np.empty((2, size), np.float32)
            self._results = np.empty((2, count), self._results.dtype)
        self._turn = 1 - self._turn
        result = self._results[self._turn, :count]
        kernel(rows.reshape(-1), self._spare[0, :size], self._spare[1, :size], result)
        return result


def _as_f32(values: np.ndarray, _: np.ndarray, __: np.ndarray, result: np.ndarray) -> None:
    result[...] = values


def _as_f16(values: np.ndarray, power: np.ndarray, total: np.ndarray, result: np.ndarray) -> None:
    """What `astype` does in twice the time.

    The sum of a number and of a power of two, 2^13 times the number's own, ends in the ten bits that a 16-bit float
    keeps, rounded by the processor, and the one before them. Powers below the smallest of 16-bit floats count as that.
    """
    bits, power_bits, total_bits = (array.view(np.uint32) for array in (values, power, total))
    np.bitwise_and(bits, _EXPONENT_BITS, out=power_bits)
    np.maximum(power_bits, np.uint32((127 - 14) << 23), out=power_bits)
    power_bits += np.uint32(13 << 23)
    np.abs(values, out=total)
    total += power
    total_bits -= power_bits
    # The bit before the ten is there but for the numbers without an own power, and counts for one in the exponent.
    power_bits >>= 13
    total_bits += power_bits
    total_bits -= np.uint32((127 - 14 + 13) << 10)
    np.right_shift(bits, 16, out=power_bits)
    power_bits &= np.uint32(1 << 15)
    total_bits |= power_bits
    np.copyto(result, total_bits, casting="unsafe")


def _bf16_as_f16(bits: np.ndarray, spare: np.ndarray, small: np.ndarray, result: np.ndarray) -> None:
    """Seven bits of a number fit where ten are, so nothing is rounded but what has no own power of two there."""
    without_sign = spare.view(np.uint16)[: len(bits)]
    is_small = small.view(np.bool_)[: len(bits)]
    # What is shifted out here, sign and high bits, is put back by the sign below and by a subtraction that overflows.
    np.left_shift(bits, 3, out=result)
    result -= np.uint16((127 - 15) << 10 & 0xFFFF)
    np.bitwise_and(bits, np.uint16(1 << 15), out=without_sign)
    result |= without_sign
    np.left_shift(bits, 1, out=without_sign)
    np.less(without_sign, np.uint16(_SMALLEST_OF_F16 << 1), out=is_small)
    places = np.flatnonzero(is_small)
    result[places] = (bits[places].astype(np.uint32) << 16).view(np.float32).astype(np.float16).view(np.uint16)


def _as_bf16(values: np.ndarray, rounded: np.ndarray, _: np.ndarray, result: np.ndarray) -> None:
    """The upper half of the bits. A half of the last place goes to the even neighbour."""
    bits, rounded_bits = values.view(np.uint32), rounded.view(np.uint32)
    np.right_shift(bits, 16, out=rounded_bits)
    rounded_bits &= np.uint32(1)
    rounded_bits += np.uint32(0x7FFF)
    rounded_bits += bits
    rounded_bits >>= 16
    np.copyto(result, rounded_bits, casting="unsafe")


# Blocks of numbers so small that 1 / scale is infinite become what the same arithmetic makes of them in gguf.
@np.errstate(over="ignore", invalid="ignore")
def _as_q8_0(values: np.ndarray, scaled: np.ndarray, halves: np.ndarray, result: np.ndarray) -> None:
    """Of 32 numbers the largest, divided by 127, as a 16-bit scale, and each number as a multiple of it."""
    scale = _largest_of_blocks(values, scaled, halves) / np.float32(127)
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale != 0)
    np.multiply(values.reshape(-1, _Q8_0_BLOCK), inverse[:, None], out=scaled.reshape(-1, _Q8_0_BLOCK))
    # copysign, by bits: it is not vectorised.
    half_bits = halves.view(np.uint32)
    np.bitwise_and(scaled.view(np.uint32), _SIGN_BIT, out=half_bits)
    half_bits |= _ALMOST_HALF_BITS
    scaled += halves
    encoded = result.reshape(-1, _Q8_0_BYTES)
    encoded[:, :2] = scale.astype(np.float16)[:, None].view(np.int8)
    np.copyto(encoded[:, 2:], scaled.reshape(-1, _Q8_0_BLOCK), casting="unsafe")  # Truncates.


def _largest_of_blocks(values: np.ndarray, largest: np.ndarray, other: np.ndarray) -> np.ndarray:
    """By absolute value. Of the 16 numbers behind each, then of 8 and so on: numpy has no fast way for short rows."""
    np.abs(values, out=largest)
    end = len(values)
    for distance in (16, 8, 4, 2, 1):
        end -= distance
        np.maximum(largest[:end], largest[distance : distance + end], out=other[:end])
        largest, other = other, largest
    return largest[::_Q8_0_BLOCK].copy()
