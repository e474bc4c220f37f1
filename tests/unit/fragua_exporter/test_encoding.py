"""The bytes of each storage type are those of gguf's own quantizer, however hard the numbers."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Type

from fragua_exporter.conversion.encoding import Encoders, encoder, largest_magnitude


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


def all_bf16() -> np.ndarray:
    """Each bf16 number that 16-bit floats can hold, as its bits, large and small ones in between."""
    bits = np.arange(2**16, dtype=np.uint16)
    wide = (bits.astype(np.uint32) << 16).view(np.float32)
    fitting = bits[np.abs(wide) <= np.finfo(np.float16).max]
    return np.random.default_rng(1).permutation(fitting)[: len(fitting) // 96 * 96].reshape(-1, 96)


@pytest.mark.parametrize("stored", [Type.F32, Type.F16, Type.BF16, Type.Q8_0])
def test_16_bit_numbers_need_not_be_widened_first(stored: Type) -> None:
    bf16 = all_bf16()
    wide = (bf16.astype(np.uint32) << 16).view(np.float32)
    halves = wide.astype(np.float16)
    for rows, in_32_bits in ((bf16, wide), (halves, halves.astype(np.float32))):
        [encoded] = Encoders()(rows, {stored}).values()
        expected = gguf.quants.quantize(in_32_bits, stored)
        assert np.array_equal(encoded.view(np.uint8).ravel(), expected.view(np.uint8).ravel())


def test_types_are_encoded_side_by_side_as_they_are_alone() -> None:
    rows, types = all_bf16(), {Type.F32, Type.F16, Type.BF16, Type.Q8_0}
    together = Encoders()(rows, types)
    for stored in types:
        [alone] = Encoders()(rows, {stored}).values()
        assert np.array_equal(together[stored], alone)


@pytest.mark.parametrize("numbers", [[-3.0, 2.0], [-2.0, 3.0], [-3.0, -2.0], [2.0, 3.0], [0.0, -0.0]])
def test_the_largest_magnitude_is_seen_in_any_form(numbers: list[float]) -> None:
    wide = np.array([numbers], np.float32)
    expected = max(map(abs, numbers))
    bf16 = (wide.view(np.uint32) >> 16).astype(np.uint16)
    assert [largest_magnitude(rows) for rows in (wide, wide.astype(np.float16), bf16)] == [expected] * 3


@pytest.mark.parametrize("strange", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_seen_in_any_form(strange: float) -> None:
    wide = np.array([[1.0, strange, -2.0]], np.float32)
    bf16 = (wide.view(np.uint32) >> 16).astype(np.uint16)
    assert not any(np.isfinite(largest_magnitude(rows)) for rows in (wide, wide.astype(np.float16), bf16))
