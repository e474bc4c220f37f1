"""What transformers leaves out of the header of a GGUF file, and what a model goes wrong without."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader

from fragua_platform.errors import InvalidInput

PROVEN = ("llama", "phi3", "qwen2", "qwen3")
"""Architectures that come back as the model that they were made from; Mistral calls itself llama. Gemma does not: its
files lack the scale of its attention."""

_LLAMA_3_LOW, _LLAMA_3_HIGH = 1.0, 4.0
"""The same in all models of Llama 3."""
_ORIGINAL_CONTEXTS = [2**power for power in range(6, 21)]


@dataclass(frozen=True)
class GgufHeader:
    head_width: int
    """Rows of one attention head; 0 where the file does not tell."""
    rotary_factors: np.ndarray[Any, np.dtype[np.float32]] | None
    """By which Llama 3 slows down each of its rotations."""


def read_header(file: Path) -> GgufHeader:
    """Raises `InvalidInput` for what is no GGUF file, and for positions that cannot be carried over."""
    try:
        reader = GGUFReader(file)
        architecture = reader.fields["general.architecture"].contents()
    except (OSError, ValueError, KeyError, IndexError, struct.error) as broken:
        raise InvalidInput(f"{file.name} cannot be read: it is no GGUF file, or not all of one ({broken})") from broken
    if architecture not in PROVEN:
        raise InvalidInput(
            f"{file.name} holds a model of architecture {architecture}; proven to come back right from GGUF are "
            f"{', '.join(PROVEN)}: take the safetensors that it was made from"
        )
    tensors = {tensor.name: tensor.data for tensor in reader.tensors}
    if any(name.startswith("rope_factors") for name in tensors):
        raise InvalidInput(
            f"{file.name} stretches its positions by a table, as Phi-3's long contexts do, which is lost on the way back: "
            "take the safetensors that it was made from"
        )
    width = reader.fields.get(f"{architecture}.attention.key_length")
    factors = tensors.get("rope_freqs.weight")
    return GgufHeader(int(width.contents()) if width else 0, None if factors is None else np.array(factors))


def llama_3_rotation(factors: np.ndarray[Any, np.dtype[np.float32]], theta: float) -> Mapping[str, Any]:
    """The parameters that give these factors: the file has only the result. `InvalidInput` where none do."""
    wavelengths = 2 * math.pi * theta ** (np.arange(len(factors)) / len(factors))
    slowest = float(factors.max())
    for context in _ORIGINAL_CONTEXTS:
        share = (context / wavelengths - _LLAMA_3_LOW) / (_LLAMA_3_HIGH - _LLAMA_3_LOW)
        share = share.clip(0, 1)
        if np.allclose(1 / ((1 - share) / slowest + share), factors, rtol=1e-3):
            return {
                "rope_type": "llama3",
                "rope_theta": theta,
                "factor": slowest,
                "low_freq_factor": _LLAMA_3_LOW,
                "high_freq_factor": _LLAMA_3_HIGH,
                "original_max_position_embeddings": context,
            }
    raise InvalidInput(
        "the file slows its rotary positions down in a way that is not Llama 3's: take the safetensors it was made from"
    )
