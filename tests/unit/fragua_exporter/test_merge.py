"""The merge equals PEFT's to the bit, and an adapter that cannot be merged exactly is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from fragua_exporter.conversion import checkpoint as checkpoint_module
from fragua_exporter.conversion.architectures import plan_model
from fragua_exporter.conversion.checkpoint import Widening, open_checkpoint
from fragua_exporter.conversion.merge import load_adapter
from fragua_exporter.conversion.writer import merged_rows
from fragua_platform.errors import InvalidData, InvalidInput
from tests.tiny_models import make_tiny_llama
from tests.unit.fragua_exporter.adapters import make_adapter


def merged(base: Path, directory: Path) -> dict[str, np.ndarray]:
    """Every tensor as it is written, in 32 bits, by its name in the checkpoint."""
    checkpoint = open_checkpoint(base)
    plan = plan_model(checkpoint)
    adapter = load_adapter(directory, plan)
    return {
        tensor.source: np.concatenate([Widening()(rows) for rows in merged_rows(tensor, checkpoint, adapter)])
        for tensor in plan.tensors
    }


def merged_by_peft(base: Path, directory: Path) -> dict[str, np.ndarray]:
    """The same in 32 bits, reordered for llama.cpp by the plan."""
    loaded = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    model = PeftModel.from_pretrained(loaded, directory).merge_and_unload()
    tensors = model.state_dict()
    return {t.source: t.transform(tensors[t.source].numpy()) for t in plan_model(open_checkpoint(base)).tensors}


@pytest.mark.parametrize("rank_stabilised", [False, True])
# R152, R187
def test_merged_weights_are_those_of_peft(base: Path, tmp_path: Path, rank_stabilised: bool) -> None:
    directory = make_adapter(base, tmp_path, use_rslora=rank_stabilised)
    ours, theirs = merged(base, directory), merged_by_peft(base, directory)
    assert [name for name in theirs if not np.array_equal(ours[name], theirs[name])] == []


def test_a_last_block_of_few_rows_is_merged_to_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = make_tiny_llama(tmp_path / "base", seed=2, hidden=512, layers=1)
    directory = make_adapter(base, tmp_path / "adapter")
    monkeypatch.setattr(checkpoint_module, "BLOCK_VALUES", 85 * 512)  # 512 rows are 6 blocks of 85 rows and 2 more.
    ours, theirs = merged(base, directory), merged_by_peft(base, directory)
    assert [name for name in theirs if not np.array_equal(ours[name], theirs[name])] == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("use_dora", True),
        ("modules_to_save", ["lm_head"]),
        ("bias", "all"),
        ("peft_type", "LOHA"),
        ("init_lora_weights", "pissa"),
        ("rank_pattern", {"q_proj": 8}),
    ],
)
def test_more_than_plain_lora_is_refused_by_name(
    adapter: Path, base: Path, tmp_path: Path, field: str, value: Any
) -> None:
    shutil.copytree(adapter, tmp_path / "adapter")
    config = json.loads((adapter / "adapter_config.json").read_text("utf-8")) | {field: value}
    (tmp_path / "adapter/adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(InvalidInput) as refused:
        load_adapter(tmp_path / "adapter", plan_model(open_checkpoint(base)))
    assert refused.value.reason == "UNSUPPORTED_ADAPTER"
    assert refused.value.violations[0].field == f"adapter_config.json: {field}"


def test_an_adapter_of_a_wider_base_is_refused_with_both_shapes(adapter: Path, tmp_path: Path) -> None:
    other = make_tiny_llama(tmp_path, seed=1, hidden=128)
    with pytest.raises(InvalidInput) as refused:
        load_adapter(adapter, plan_model(open_checkpoint(other)))
    assert refused.value.reason == "ADAPTER_MISMATCH"
    assert "has shape [4, 64], the base needs [4, 128]" in {v.description for v in refused.value.violations}


def test_an_adapter_of_a_deeper_base_is_refused_with_the_layers_that_are_missing(adapter: Path, tmp_path: Path) -> None:
    other = make_tiny_llama(tmp_path, seed=1, layers=1)
    with pytest.raises(InvalidInput) as refused:
        load_adapter(adapter, plan_model(open_checkpoint(other)))
    assert all(".layers.1." in violation.field for violation in refused.value.violations)


def test_a_lost_half_and_an_embedding_update_are_named(adapter: Path, base: Path, tmp_path: Path) -> None:
    shutil.copytree(adapter, tmp_path / "adapter")
    file = tmp_path / "adapter/adapter_model.safetensors"
    tensors = load_file(file)
    lost = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"
    extra = "base_model.model.model.embed_tokens.lora_embedding_A"
    save_file({name: t for name, t in tensors.items() if name != lost} | {extra: torch.ones(4, 416)}, file)
    with pytest.raises(InvalidInput) as refused:
        load_adapter(tmp_path / "adapter", plan_model(open_checkpoint(base)))
    assert {violation.field for violation in refused.value.violations} == {lost, extra}


def test_an_adapter_in_other_numbers_is_refused_by_name(adapter: Path, base: Path, tmp_path: Path) -> None:
    shutil.copytree(adapter, tmp_path / "adapter")
    file = tmp_path / "adapter/adapter_model.safetensors"
    tensors = load_file(file)
    changed = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"
    save_file(tensors | {changed: tensors[changed].to(torch.float8_e4m3fn)}, file)
    with pytest.raises(InvalidInput, match="16 or 32 bits") as refused:
        load_adapter(tmp_path / "adapter", plan_model(open_checkpoint(base)))
    assert [violation.field for violation in refused.value.violations] == [changed]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_bases_of_each_precision_are_read_and_merged_as_peft_does(
    base: Path, tmp_path: Path, dtype: torch.dtype
) -> None:
    model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    directory = make_adapter(base, tmp_path / "adapter")
    model.save_pretrained(tmp_path / "base")
    ours, theirs = merged(tmp_path / "base", directory), merged_by_peft(tmp_path / "base", directory)
    assert [name for name in theirs if not np.array_equal(ours[name], theirs[name])] == []


def test_a_diverged_adapter_is_refused(adapter: Path, base: Path, tmp_path: Path) -> None:
    shutil.copytree(adapter, tmp_path / "adapter")
    file = tmp_path / "adapter/adapter_model.safetensors"
    save_file({name: t * float("nan") for name, t in load_file(file).items()}, file)
    with pytest.raises(InvalidData, match="diverged"):
        load_adapter(tmp_path / "adapter", plan_model(open_checkpoint(base)))
