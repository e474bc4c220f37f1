"""The merged model as transformers and llama.cpp load it: whole as safetensors, and apart as base and LoRA."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from fragua_exporter.conversion.adapter_file import write_adapter
from fragua_exporter.conversion.architectures import plan_model
from fragua_exporter.conversion.architectures.plan import ModelPlan
from fragua_exporter.conversion.checkpoint import Checkpoint, open_checkpoint
from fragua_exporter.conversion.merge import Adapter, load_adapter
from fragua_exporter.conversion.merged_model import write_merged_model
from fragua_exporter.conversion.vocabulary import load_vocabulary
from fragua_exporter.conversion.writer import write_gguf_files
from fragua_exporter.domain.export_spec import Quantization
from fragua_platform.errors import InvalidData
from tests.tiny_models import make_tiny_llama
from tests.unit.fragua_exporter.adapters import make_adapter


def opened(base: Path, adapter: Path) -> tuple[Checkpoint, ModelPlan, Adapter]:
    checkpoint = open_checkpoint(base)
    plan = plan_model(checkpoint)
    return checkpoint, plan, load_adapter(adapter, plan)


def write(base: Path, adapter: Path, directory: Path, **options: Any) -> list[Path]:
    checkpoint, plan, loaded = opened(base, adapter)
    names = [tensor.source for tensor in plan.tensors]
    return write_merged_model(checkpoint, loaded, names, directory, lambda done: None, **options)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("shard_bytes", [100_000, 5_000_000_000])
# R152, R157
def test_transformers_loads_what_peft_would_have_merged(tmp_path: Path, dtype: torch.dtype, shard_bytes: int) -> None:
    base = make_tiny_llama(tmp_path / "base", seed=5, strong=True)
    AutoModelForCausalLM.from_pretrained(base, dtype=dtype).save_pretrained(base)
    directory = make_adapter(base, tmp_path / "adapter")
    files = write(base, directory, tmp_path / "merged", shard_bytes=shard_bytes)
    assert sorted(files) == sorted((tmp_path / "merged").iterdir())
    assert ((tmp_path / "merged/model.safetensors.index.json") in files) == (shard_bytes < 5_000_000_000)
    ours: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype="auto", local_files_only=True)
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=dtype), directory)
    expected = theirs.merge_and_unload().state_dict()
    assert ours.dtype == dtype
    assert [name for name, tensor in ours.state_dict().items() if not torch.equal(tensor, expected[name])] == []


def test_tokenizer_template_and_configuration_come_along(base: Path, adapter: Path, tmp_path: Path) -> None:
    write(base, adapter, tmp_path)
    question = [{"role": "user", "content": "¿Qué es un año?"}]
    ours, theirs = (AutoTokenizer.from_pretrained(folder, local_files_only=True) for folder in (tmp_path, base))
    assert ours.apply_chat_template(question) == theirs.apply_chat_template(question)
    assert (tmp_path / "config.json").read_bytes() == (base / "config.json").read_bytes()
    assert (tmp_path / "generation_config.json").exists()


def test_the_same_inputs_give_the_same_bytes(base: Path, adapter: Path, tmp_path: Path) -> None:
    first = write(base, adapter, tmp_path / "first")
    second = write(base, adapter, tmp_path / "second")
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]


def test_tensors_of_two_widths_lie_on_multiples_of_their_own(base: Path, adapter: Path, tmp_path: Path) -> None:
    mixed = {
        name: tensor if "norm" in name else tensor.to(torch.bfloat16)
        for name, tensor in load_file(base / "model.safetensors").items()
    }
    make_tiny_llama(tmp_path / "base", seed=5)
    save_file(mixed, tmp_path / "base/model.safetensors")
    write(tmp_path / "base", adapter, tmp_path / "merged")
    merged = load_file(tmp_path / "merged/model.safetensors")
    assert {name: tensor.dtype for name, tensor in merged.items()} == {n: t.dtype for n, t in mixed.items()}
    entries = open_checkpoint(tmp_path / "merged").entries
    assert all(entry.offset % merged[name].element_size() == 0 for name, entry in entries.items())


def test_a_base_of_not_a_numbers_is_refused_by_the_tensors_name(base: Path, adapter: Path, tmp_path: Path) -> None:
    make_tiny_llama(tmp_path / "base", seed=5)
    tensors = load_file(base / "model.safetensors")
    tensors["model.norm.weight"][7] = float("nan")
    save_file(tensors, tmp_path / "base/model.safetensors")
    with pytest.raises(InvalidData, match=r"model\.norm\.weight holds NaN or infinity"):
        write(tmp_path / "base", adapter, tmp_path / "merged")


def test_numbers_beyond_16_bits_are_refused_in_a_16_bit_base(base: Path, tmp_path: Path) -> None:
    make_tiny_llama(tmp_path / "base", seed=5)
    tensors = {name: tensor.half() for name, tensor in load_file(base / "model.safetensors").items()}
    save_file(tensors, tmp_path / "base/model.safetensors")
    adapter = make_adapter(base, tmp_path / "adapter", target_modules=["up_proj"])
    update = load_file(adapter / "adapter_model.safetensors")
    save_file({name: tensor * 1000 for name, tensor in update.items()}, adapter / "adapter_model.safetensors")
    with pytest.raises(InvalidData, match=r"layers\.0\.mlp\.up_proj\.weight reaches"):
        write(tmp_path / "base", adapter, tmp_path / "merged")


def logits(file: Path, lora: Path | None = None) -> np.ndarray:
    model = llama_cpp.Llama(
        str(file),
        lora_path=str(lora) if lora else None,
        n_ctx=64,
        logits_all=True,
        type_k=llama_cpp.GGML_TYPE_F32,
        type_v=llama_cpp.GGML_TYPE_F32,
        verbose=False,
    )
    try:
        model.eval(list(range(10, 40)))
        return np.array(model.scores[:30])
    finally:
        model.close()


@pytest.mark.parametrize("rank_stabilised", [False, True])
# R157, R187
def test_base_and_lora_in_llama_cpp_are_the_merged_model(base: Path, tmp_path: Path, rank_stabilised: bool) -> None:
    directory = make_adapter(base, tmp_path / "adapter", use_rslora=rank_stabilised)
    checkpoint, plan, adapter = opened(base, directory)
    vocabulary = load_vocabulary(base, plan.vocabulary_size)
    files = {}
    for name, updates in (("base", {}), ("merged", adapter.updates)):
        files[name] = tmp_path / f"{name}.gguf"
        changed = Adapter(adapter.rank, adapter.scale, updates)
        write_gguf_files(
            {Quantization.F32: files[name]}, plan, checkpoint, changed, vocabulary, lambda _: None, lambda _: None
        )
    write_adapter(tmp_path / "lora.gguf", plan, adapter)
    merged = logits(files["merged"])
    np.testing.assert_allclose(logits(files["base"], tmp_path / "lora.gguf"), merged, atol=2e-3)
    assert np.abs(logits(files["base"]) - merged).max() > 1
