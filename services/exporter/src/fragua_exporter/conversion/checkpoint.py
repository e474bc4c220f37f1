"""Reads a base model's Hugging Face directory one tensor at a time and distrusts what its files say about themselves."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from fragua_platform.errors import InvalidData, InvalidInput, Violation

BF16 = np.dtype(np.uint16)
"""numpy has no such numbers: what is passed around is their bits."""

MERGEABLE_DTYPES: Mapping[str, np.dtype] = {"F32": np.dtype(np.float32), "F16": np.dtype(np.float16), "BF16": BF16}
"""A merge into fewer bits rounds the adapter's small update away."""

BLOCK_VALUES = 1 << 19
"""How many numbers are read, merged and written at once: few enough to stay in the processor's caches meanwhile."""

FEWEST_ROWS = 64
"""Of products with fewer rows than about ten, other kernels add up in another order: their last bits are not those of
the product of the whole matrices."""


@dataclass(frozen=True)
class TensorEntry:
    file: Path
    shape: tuple[int, ...]
    dtype: str
    offset: int
    """Of its first byte within the file."""

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Checkpoint:
    directory: Path
    config: Mapping[str, Any]
    entries: Mapping[str, TensorEntry]

    def read(self, name: str) -> np.ndarray:
        """The tensor in 32 bits."""
        return read_tensor(self.entries[name])

    def read_stored(self, name: str) -> np.ndarray:
        """The tensor as it is stored."""
        return _read_stored(self.entries[name])

    def read_blocks(self, name: str) -> Iterator[np.ndarray]:
        """Some rows of a matrix at a time, as they are stored; each block is overwritten by the next but one.

        Plain reads into two buffers instead of a mapping of the file: mapped pages would count as this process's memory.
        """
        entry = self.entries[name]
        columns = entry.shape[-1]
        step = min(entry.size, rows_of_a_block(columns) * columns)
        buffers = [np.empty(step, MERGEABLE_DTYPES[entry.dtype]) for _ in range(2)]
        return (block.reshape(-1, columns) for block in _read_into(entry, buffers, step))


def rows_of_a_block(columns: int) -> int:
    return max(FEWEST_ROWS, BLOCK_VALUES // columns)


def read_tensor(entry: TensorEntry) -> np.ndarray:
    """One tensor of a file, in 32 bits."""
    return Widening()(_read_stored(entry))


def widened(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Blocks as a file stores them in 32 bits; each is overwritten by the next."""
    return map(Widening(), blocks)


class Widening:
    """From numbers as a file stores them to 32 bits; what it returns is overwritten by the next call."""

    def __init__(self) -> None:
        self._values = np.empty(0, np.float32)

    def __call__(self, block: np.ndarray) -> np.ndarray:
        if len(self._values) < block.size:
            self._values = np.empty(block.size, np.float32)
        wide = self._values[: block.size].reshape(block.shape)
        if block.dtype == BF16:
            np.left_shift(block, 16, out=wide.view(np.uint32), dtype=np.uint32)
        else:
            wide[...] = block
        return wide


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
    check_dtypes(entries, "base model: give the 16- or 32-bit original of this base")
    return Checkpoint(directory, config, entries)


def check_dtypes(entries: Mapping[str, TensorEntry], advice: str) -> None:
    unmergeable = [
        Violation(name, f"stored as {entry.dtype}, expected one of {', '.join(MERGEABLE_DTYPES)}")
        for name, entry in entries.items()
        if entry.dtype not in MERGEABLE_DTYPES
    ]
    if unmergeable:
        raise InvalidInput(advice, violations=unmergeable)


def read_headers(file: Path) -> dict[str, TensorEntry]:
    """Names, shapes, types and places in one safetensors file, checked against the length of the file."""
    place = f"{file.parent.name}/{file.name}"
    try:
        with safe_open(file, framework="np"):  # Refuses whatever does not add up; of the places it tells nothing.
            pass
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header: dict[str, Any] = json.loads(stream.read(length))
    except FileNotFoundError as missing:
        raise InvalidData(f"{place} is missing: copy the whole directory again") from missing
    except (SafetensorError, OSError) as broken:
        raise InvalidData(f"{place} is no whole safetensors file ({broken}): copy it again from its source") from broken
    header.pop("__metadata__", None)
    return {
        name: TensorEntry(file, tuple(tensor["shape"]), tensor["dtype"], 8 + length + tensor["data_offsets"][0])
        for name, tensor in header.items()
    }


def read_json(file: Path) -> dict[str, Any]:
    place = f"{file.parent.name}/{file.name}"
    try:
        document = json.loads(file.read_text("utf-8"))
    except FileNotFoundError as missing:
        raise InvalidData(f"{place} is missing: give the whole directory as it was saved") from missing
    except (ValueError, RecursionError) as broken:
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


def _read_stored(entry: TensorEntry) -> np.ndarray:
    values = np.empty(entry.size, MERGEABLE_DTYPES[entry.dtype])
    for _ in _read_into(entry, [values], entry.size):
        pass
    return values.reshape(entry.shape)


def _read_into(entry: TensorEntry, buffers: Sequence[np.ndarray], step: int) -> Iterator[np.ndarray]:
    """Fill one buffer after the other, again and again, `step` numbers at a time, until the tensor ends."""
    with entry.file.open("rb", buffering=0) as stream:
        stream.seek(entry.offset)
        for turn, start in enumerate(range(0, entry.size, step)):
            values = buffers[turn % len(buffers)]
            content, width = values.view(np.uint8).data, values.itemsize
            count = min(step, entry.size - start)
            read = 0
            while read < count * width:
                received = stream.readinto(content[read : count * width])
                if not received:
                    raise InvalidData(f"{entry.file.parent.name}/{entry.file.name} became shorter while it was read")
                read += received
            yield values[:count]
