"""What a converter needs to know of one model: which tensor goes where, in what form, beside which metadata.

A new architecture is one module that builds a `ModelPlan` from config.json, and one line in the table of this package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from gguf import GGUFWriter

Transform = Callable[[np.ndarray], np.ndarray]


def as_stored(tensor: np.ndarray) -> np.ndarray:
    return tensor


@dataclass(frozen=True)
class TensorPlan:
    source: str
    """Name in the Hugging Face checkpoint."""
    target: str
    """Name in the GGUF file."""
    shape: tuple[int, ...]
    """What both sides must have."""
    transform: Transform = as_stored
    """From the checkpoint's layout to llama.cpp's. Of a matrix it reorders rows and nothing else, so that the rows of an
    adapter's B can follow; a vector comes in 32 bits and may change its values."""


@dataclass(frozen=True)
class ModelPlan:
    gguf_architecture: str
    vocabulary_size: int
    """Rows of the embedding: the vocabulary is padded to it."""
    context_length: int
    tensors: tuple[TensorPlan, ...]
    write_metadata: Callable[[GGUFWriter], None]
    constants: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Tensors of the GGUF file that are computed from config.json."""
    ignored: frozenset[str] = frozenset()
    """Tensors that a checkpoint may hold although the model does not use them."""
    converter: Path | None = None
    """The program that writes this model, whose architecture is not ours; its targets are the names of the sources."""
