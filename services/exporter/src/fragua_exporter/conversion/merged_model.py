"""Writes the merged model as transformers loads it: safetensors in the base's own precision, with all that lies beside."""

from __future__ import annotations

import json
import math
import shutil
import struct
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np
from gguf import GGMLQuantizationType

from fragua_exporter.conversion.checkpoint import MERGEABLE_DTYPES, Checkpoint, TensorEntry
from fragua_exporter.conversion.encoding import Encode, encoder
from fragua_exporter.conversion.merge import Adapter
from fragua_exporter.conversion.writer import check_range, full_disk_is_named

SHARD_BYTES = 5_000_000_000
"""Of tensors in one file, unless a single tensor is larger; what transformers writes as well."""

COMPANIONS = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
)
"""Copied from the base as far as they are there; code never is."""

_ALIGNMENT = 8


def write_merged_model(
    checkpoint: Checkpoint,
    adapter: Adapter,
    names: Sequence[str],
    directory: Path,
    on_tensor: Callable[[int], None],
    shard_bytes: int = SHARD_BYTES,
) -> list[Path]:
    """Write the tensors of these names, equal to the bit to PEFT's `merge_and_unload`; returns every file of the model.

    `on_tensor` hears how many tensors are done and may raise to stop.
    """
    directory.mkdir(parents=True, exist_ok=True)
    shards = _shards({name: checkpoint.entries[name] for name in names}, shard_bytes)
    encoder_of = cache(encoder)
    files = []
    done = 0
    with full_disk_is_named():
        for number, shard in enumerate(shards, start=1):
            single = len(shards) == 1
            file = directory / ("model.safetensors" if single else f"model-{number:05}-of-{len(shards):05}.safetensors")
            files.append(file)
            with file.open("wb") as stream:
                _write_header(stream, shard)
                for name, entry in shard.items():
                    stored = GGMLQuantizationType[entry.dtype]  # Both formats call them F32, F16 and BF16.
                    for rows in _merged(checkpoint, adapter, name, stored, encoder_of(stored)):
                        stream.write(rows.data)
                    done += 1
                    on_tensor(done)
        if len(shards) > 1:
            files.append(_write_index(directory, files, shards))
        for companion in COMPANIONS:
            if (checkpoint.directory / companion).is_file():
                files.append(Path(shutil.copyfile(checkpoint.directory / companion, directory / companion)))
    return files


def merged_size(checkpoint: Checkpoint, names: Sequence[str]) -> int:
    """Bytes of the tensors, which is all but a few megabytes of the model."""
    return sum(_bytes(checkpoint.entries[name]) for name in names)


def _merged(
    checkpoint: Checkpoint, adapter: Adapter, name: str, stored: GGMLQuantizationType, encode: Encode
) -> Iterator[np.ndarray]:
    for rows in adapter.merge(name, checkpoint.read_blocks(name)):
        check_range(name, rows, narrow=stored is GGMLQuantizationType.F16)
        yield encode(rows)


def _shards(entries: dict[str, TensorEntry], most: int) -> list[dict[str, TensorEntry]]:
    """In the base's order; within a file wide numbers come first, so that each lies on a multiple of its own size."""
    shards: list[dict[str, TensorEntry]] = [{}]
    filled = 0
    for name, entry in entries.items():
        if filled and filled + _bytes(entry) > most:
            shards.append({})
            filled = 0
        shards[-1][name] = entry
        filled += _bytes(entry)
    return [dict(sorted(shard.items(), key=lambda item: -_width(item[1]))) for shard in shards]


def _write_header(stream: IO[bytes], shard: dict[str, TensorEntry]) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, entry in shard.items():
        end = offset + _bytes(entry)
        header[name] = {"dtype": entry.dtype, "shape": list(entry.shape), "data_offsets": [offset, end]}
        offset = end
    content = json.dumps(header, separators=(",", ":")).encode()
    content += b" " * (-len(content) % _ALIGNMENT)
    stream.write(struct.pack("<Q", len(content)) + content)


def _write_index(directory: Path, files: Sequence[Path], shards: Sequence[dict[str, TensorEntry]]) -> Path:
    weight_map = {name: file.name for file, shard in zip(files, shards, strict=True) for name in shard}
    total = sum(_bytes(entry) for shard in shards for entry in shard.values())
    index = directory / "model.safetensors.index.json"
    document = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    index.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    return index


def _bytes(entry: TensorEntry) -> int:
    return math.prod(entry.shape) * _width(entry)


def _width(entry: TensorEntry) -> int:
    return MERGEABLE_DTYPES[entry.dtype].itemsize
