"""Reads a base model's Hugging Face directory one tensor at a time and distrusts what its files say about themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from fragua_platform.errors import InvalidData, InvalidInput, Violation

MERGEABLE_DTYPES = ("F32", "F16", "BF16")
"""A merge into fewer bits rounds the adapter's small update away."""


@dataclass(frozen=True)
class TensorEntry:
    file: Path
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Checkpoint:
    directory: Path
    config: Mapping[str, Any]
    entries: Mapping[str, TensorEntry]

    def read(self, name: str) -> torch.Tensor:
        """The tensor in 32 bits. The file is opened anew each time, so that no mapping piles up in memory."""
        with safe_open(self.entries[name].file, framework="pt") as file:
            tensor: torch.Tensor = file.get_tensor(name)
        return tensor.to(torch.float32)


def open_checkpoint(directory: Path) -> Checkpoint:
    """Read the configuration and every tensor header; raises InvalidData or InvalidInput, nothing else."""
    config = read_json(directory / "config.json")
    if "quantization_config" in config:
        raise InvalidInput(
            "base model: config.json holds a quantization_config; "
            "a merge into quantized weights erases the training, so give the 16- or 32-bit original of this base"
        )
    entries: dict[str, TensorEntry] = {}
    for file in _weight_files(directory):
        entries |= read_headers(file)
    unmergeable = [
        Violation(name, f"stored as {entry.dtype}, expected one of {', '.join(MERGEABLE_DTYPES)}")
        for name, entry in entries.items()
        if entry.dtype not in MERGEABLE_DTYPES
    ]
    if unmergeable:
        raise InvalidInput("base model: give the 16- or 32-bit original of this base", violations=unmergeable)
    return Checkpoint(directory, config, entries)


def read_headers(file: Path) -> dict[str, TensorEntry]:
    """Names, shapes and types in one safetensors file, checked against the length of the file."""
    try:
        with safe_open(file, framework="pt") as tensors:
            names: list[str] = tensors.keys()
            slices = {name: tensors.get_slice(name) for name in names}
            return {name: TensorEntry(file, tuple(s.get_shape()), s.get_dtype()) for name, s in slices.items()}
    except FileNotFoundError as missing:
        raise InvalidData(f"{file.parent.name}/{file.name} is missing: copy the whole directory again") from missing
    except SafetensorError as broken:
        raise InvalidData(
            f"{file.parent.name}/{file.name} is no whole safetensors file ({broken}): copy it again from its source"
        ) from broken


def read_json(file: Path) -> dict[str, Any]:
    place = f"{file.parent.name}/{file.name}"
    try:
        document = json.loads(file.read_text("utf-8"))
    except FileNotFoundError as missing:
        raise InvalidData(f"{place} is missing: give the whole directory as it was saved") from missing
    except ValueError as broken:
        raise InvalidData(f"{place} is not JSON ({broken}): copy it again from its source") from broken
    if not isinstance(document, dict):
        raise InvalidData(f"{place} holds {type(document).__name__}, expected an object")
    return document


def _weight_files(directory: Path) -> list[Path]:
    index = directory / "model.safetensors.index.json"
    if not index.exists():
        return [directory / "model.safetensors"]
    shards = read_json(index).get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(name, str) for name in shards.values()):
        raise InvalidData(f"{directory.name}/{index.name}: weight_map must map tensor names to file names")
    outside = sorted({name for name in shards.values() if Path(name).name != name})
    if outside:
        raise InvalidData(f"{directory.name}/{index.name}: {outside[0]!r} is not a plain file name")
    return [directory / name for name in sorted(set(shards.values()))]
