"""The bytes of each storage type are those of gguf's own quantizer, however hard the numbers."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Type

from fragua_exporter.conversion.encoding import encoder


def awkward_numbers() -> np.ndarray:
    """Every 16-bit float, its neighbours in 32 bits, exact halves of a scale, subnormals, zeros and empty blocks."""
    every_half = torch.arange(2**16).to(torch.int16).view(torch.float16).float()
    every_half = every_half[every_half.isfinite()]
    inner = every_half.abs() < 60_000
    neighbours = [torch.nextafter(every_half, torch.tensor(to)) for to in (1e9, -1e9)]
    halves = torch.arange(-127, 127).repeat_interleave(31).view(-1, 31) + 0.5
    halves = torch.cat([torch.full((len(halves), 1), 127.0), halves], dim=1)
    near_halves = torch.nextafter(halves, torch.tensor(0.0))
    tiny = torch.tensor([1e-45, -1e-40, 1e-38, -1.2e-38] * 8)
    columns = [every_half, *(n[inner] for n in neighbours), halves.flatten(), near_halves.flatten(), tiny]
    numbers = torch.cat([*columns, torch.zeros(64), -torch.zeros(32)])
    return numbers[: numbers.numel() // 96 * 96].view(-1, 96).numpy()


@pytest.mark.parametrize("stored", [Type.F32, Type.F16, Type.BF16, Type.Q8_0])
def test_bytes_are_those_of_gguf(stored: Type) -> None:
    rows = awkward_numbers()
    encode = encoder(stored)
    expected = gguf.quants.quantize(rows, stored)
    # The third and fourth call find buffers that are too large for them.
    for part in (rows, rows, rows[:7], rows[:7]):
        ours = encode(part).view(np.uint8)
        assert np.array_equal(ours, expected[: len(part)].view(np.uint8).ravel())


@pytest.mark.parametrize("stored", [Type.F32, Type.F16, Type.BF16, Type.Q8_0])
def test_a_result_stays_until_the_next_call_but_one(stored: Type) -> None:
    rows = awkward_numbers()
    encode = encoder(stored)
    first = encode(rows)
    kept = first.copy()
    second = encode(rows[:7] + 1)
    assert np.array_equal(first, kept)
    assert not np.shares_memory(first, second)


def test_types_that_llama_cpp_alone_writes_are_refused() -> None:
    with pytest.raises(ValueError, match="Q4_K is written by llama"):
        encoder(Type.Q4_K)
