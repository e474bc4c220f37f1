"""Damaged, lying and unsuitable base directories end in an error that names the file."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from fragua_exporter.conversion.checkpoint import open_checkpoint
from fragua_platform.errors import InvalidData, InvalidInput


@pytest.fixture
def copy(base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(base, tmp_path / "base"))


def cut_the_header(content: bytes) -> bytes:
    return content[:100]


def cut_the_weights(content: bytes) -> bytes:
    return content[:-1000]


def claim_a_huge_header(content: bytes) -> bytes:
    return struct.pack("<Q", 2**60) + content[8:]


def claim_a_larger_tensor(content: bytes) -> bytes:
    return content.replace(b'"shape":[416,64]', b'"shape":[999,64]')


@pytest.mark.parametrize("damage", [cut_the_header, cut_the_weights, claim_a_huge_header, claim_a_larger_tensor])
def test_a_damaged_weight_file_is_named(copy: Path, damage: Callable[[bytes], bytes]) -> None:
    file = copy / "model.safetensors"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(InvalidData, match=r"base/model\.safetensors is no whole safetensors file"):
        open_checkpoint(copy)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(InvalidData, match=f"base/{name} is missing"):
        open_checkpoint(copy)


def test_a_configuration_that_no_parser_can_follow_is_named(copy: Path) -> None:
    (copy / "config.json").write_text("[" * 200_000)
    with pytest.raises(InvalidData, match=r"base/config\.json is not JSON"):
        open_checkpoint(copy)


def test_an_index_cannot_point_outside_of_the_directory(copy: Path) -> None:
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../../secret.safetensors"}}))
    with pytest.raises(InvalidData, match="not a plain file name"):
        open_checkpoint(copy)


def test_a_sharded_base_reads_like_a_whole_one(copy: Path) -> None:
    tensors = load_file(copy / "model.safetensors")
    shards = {name: f"model-{1 + i % 2:05}-of-00002.safetensors" for i, name in enumerate(tensors)}
    for shard in set(shards.values()):
        save_file({name: t for name, t in tensors.items() if shards[name] == shard}, copy / shard)
    (copy / "model.safetensors").unlink()
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    checkpoint = open_checkpoint(copy)
    assert all(np.array_equal(checkpoint.read(name), tensor.numpy()) for name, tensor in tensors.items())


def test_a_quantized_base_is_refused(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text("utf-8")) | {"quantization_config": {"load_in_4bit": True}}
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(InvalidInput, match="16- or 32-bit original"):
        open_checkpoint(copy)


def test_weights_of_eight_bits_are_refused_by_name(copy: Path) -> None:
    tensors = load_file(copy / "model.safetensors")
    tensors["model.norm.weight"] = tensors["model.norm.weight"].to(torch.int8)
    save_file(tensors, copy / "model.safetensors")
    with pytest.raises(InvalidInput) as refused:
        open_checkpoint(copy)
    assert [violation.field for violation in refused.value.violations] == ["model.norm.weight"]
