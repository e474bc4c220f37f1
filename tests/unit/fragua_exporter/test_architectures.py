"""Every architecture computes in llama.cpp what it computes in transformers, at every position of a text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from fragua_exporter.conversion.architectures import PLANNERS
from fragua_exporter.conversion.vocabulary import load_vocabulary
from fragua_platform.errors import InvalidInput
from tests.tiny_families import FAMILIES, make_tiny_family
from tests.unit.fragua_exporter.adapters import ALL_PROJECTIONS, make_adapter
from tests.unit.fragua_exporter.conversions import convert, divergence, metadata_of

AS_GOOD_AS_EQUAL = 1e-5
"""In nats: the order of additions in 32 bits, through up to seven layers. The faults of test_traps.py begin at 1e-2."""

FUSED_PROJECTIONS = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]


def some_ids(length: int = 200) -> list[int]:
    """Longer than the windows of the tiny Gemmas, shorter than every context."""
    ids: list[int] = torch.randint(0, 416, (length,), generator=torch.Generator().manual_seed(3)).tolist()
    return ids


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def family_base(family: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_family(family, tmp_path_factory.mktemp(family))


# R153, R189
def test_a_base_computes_what_it_did(family_base: Path, tmp_path: Path) -> None:
    assert divergence(convert(family_base, tmp_path / "model.gguf"), family_base, some_ids()).largest < AS_GOOD_AS_EQUAL


# R152, R187
def test_a_merged_adapter_computes_what_peft_does(family: str, family_base: Path, tmp_path: Path) -> None:
    targets = FUSED_PROJECTIONS if family.startswith("phi3") else ALL_PROJECTIONS
    adapter = make_adapter(family_base, tmp_path / "adapter", target_modules=targets)
    file = convert(family_base, tmp_path / "model.gguf", adapter)
    base = AutoModelForCausalLM.from_pretrained(family_base, dtype=torch.float32)
    merged = PeftModel.from_pretrained(base, str(adapter)).merge_and_unload()
    assert divergence(file, merged, some_ids()).largest < AS_GOOD_AS_EQUAL
    assert divergence(file, family_base, some_ids()).mean > 1e-2


def test_an_embedding_of_more_rows_than_tokens_is_carried_over(tmp_path: Path) -> None:
    base = make_tiny_family("qwen3", tmp_path / "base", rows=448)
    assert divergence(convert(base, tmp_path / "model.gguf"), base, some_ids()).largest < AS_GOOD_AS_EQUAL


def test_fewer_tokens_than_rows_do_not_even_load(tmp_path: Path) -> None:
    base = make_tiny_family("qwen3", tmp_path / "base", rows=448)
    unpadded = load_vocabulary(base, 416)
    with pytest.raises(ValueError, match="Failed to load model"):
        divergence(convert(base, tmp_path / "model.gguf", vocabulary=unpadded), base, some_ids())


def test_texts_beyond_the_original_context_use_the_long_factors(tmp_path: Path) -> None:
    base = make_tiny_family("phi3-longrope", tmp_path / "base")
    file = convert(base, tmp_path / "model.gguf")
    assert divergence(file, base, some_ids(300), context=512).largest < AS_GOOD_AS_EQUAL


@pytest.mark.parametrize(
    ("family", "context"), [("mistral", 384), ("phi3", 384), ("phi3-longrope", 256), ("gemma3", 512)]
)
def test_no_more_context_is_promised_than_llama_cpp_computes_faithfully(
    family: str, context: int, tmp_path: Path
) -> None:
    config = json.loads((make_tiny_family(family, tmp_path) / "config.json").read_text("utf-8"))
    assert PLANNERS[config["model_type"]](config).context_length == context


@pytest.mark.parametrize(
    ("family", "changes", "field"),
    [
        ("mistral", {"hidden_act": "gelu"}, "hidden_act"),
        ("qwen2", {"use_sliding_window": True}, "use_sliding_window"),
        ("qwen2", {"head_dim": 32}, "head_dim"),
        ("qwen3", {"rope_parameters": {"rope_type": "yarn", "factor": 4.0}}, "rope_parameters.rope_type"),
        ("qwen3", {"layer_types": ["full_attention", "sliding_attention"]}, "layer_types.1"),
        ("phi3-longrope", {"rope_parameters": {"rope_type": "longrope"}}, "rope_parameters.short_factor"),
        ("phi3", {"rope_parameters": {"partial_rotary_factor": 0.05}}, "rope_parameters.partial_rotary_factor"),
        ("gemma2", {"query_pre_attn_scalar": 144}, "query_pre_attn_scalar"),
        ("gemma2", {"final_logit_softcapping": None}, "final_logit_softcapping"),
        ("gemma3", {"attn_logit_softcapping": 50.0}, "attn_logit_softcapping"),
        ("gemma3", {"use_bidirectional_attention": True}, "use_bidirectional_attention"),
    ],
)
def test_what_llama_cpp_would_compute_otherwise_is_refused_by_name(
    family: str, changes: dict[str, Any], field: str, tmp_path: Path
) -> None:
    config = json.loads((make_tiny_family(family, tmp_path) / "config.json").read_text("utf-8"))
    with pytest.raises(InvalidInput) as refused:
        PLANNERS[config["model_type"]](config | changes)
    assert refused.value.reason == "UNSUPPORTED_ARCHITECTURE"
    assert refused.value.violations[0].field == f"config.json: {field}"


def test_settings_of_older_transformers_give_the_same_gemma(tmp_path: Path) -> None:
    config = json.loads((make_tiny_family("gemma3", tmp_path) / "config.json").read_text("utf-8"))
    former = {
        "rope_parameters": None,
        "rope_theta": 1_000_000.0,
        "rope_local_base_freq": 10_000.0,
        "rope_scaling": {"rope_type": "linear", "factor": 8.0},
        "layer_types": None,
        "sliding_window_pattern": 6,
    }
    now, before = (PLANNERS["gemma3_text"](config | changes) for changes in ({}, former))
    assert metadata_of(now, tmp_path) == metadata_of(before, tmp_path)


def test_windows_in_other_layers_than_usual_are_written_down(tmp_path: Path) -> None:
    usual = ["sliding_attention", "full_attention"]
    base = make_tiny_family("gemma2", tmp_path / "base", layer_types=usual[::-1])
    file = convert(base, tmp_path / "model.gguf")
    assert divergence(file, base, some_ids()).largest < AS_GOOD_AS_EQUAL
    config = json.loads((base / "config.json").read_text("utf-8"))
    key = "gemma2.attention.sliding_window_pattern"
    assert key not in metadata_of(PLANNERS["gemma2"](config | {"layer_types": usual}), tmp_path)
