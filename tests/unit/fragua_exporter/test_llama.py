"""Llama's plan: what is written otherwise than it is stored, and what is refused before anything is written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig as TransformersConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from fragua_exporter.conversion.architectures import llama, plan_model
from fragua_exporter.conversion.checkpoint import open_checkpoint
from fragua_platform.errors import InvalidInput

LLAMA_3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def configuration(base: Path, **changes: Any) -> dict[str, Any]:
    return json.loads((base / "config.json").read_text("utf-8")) | changes


def test_rows_that_rotate_together_become_neighbours() -> None:
    two_heads_of_four = np.arange(8.0).reshape(8, 1)
    reordered = llama.interleave_rotary_halves(2, two_heads_of_four).flatten().tolist()
    assert reordered == [0, 2, 1, 3, 4, 6, 5, 7]


def test_llama3_rope_factors_are_the_frequencies_of_transformers(base: Path) -> None:
    plan = llama.plan(configuration(base, rope_parameters=LLAMA_3_ROPE, head_dim=64))
    expected, _ = ROPE_INIT_FUNCTIONS["llama3"](
        TransformersConfig(head_dim=64, max_position_embeddings=131_072, rope_parameters=LLAMA_3_ROPE),
        torch.device("cpu"),
    )
    plain = 1.0 / 500_000.0 ** (torch.arange(0, 64, 2) / 64)
    torch.testing.assert_close(plain / torch.from_numpy(plan.constants["rope_freqs.weight"]), expected)


def test_settings_of_older_transformers_give_the_same_plan(base: Path) -> None:
    scaling = {name: value for name, value in LLAMA_3_ROPE.items() if name != "rope_theta"}
    former = configuration(base, rope_parameters=None, rope_theta=500_000.0, rope_scaling=scaling)
    now = configuration(base, rope_parameters=LLAMA_3_ROPE)
    key = "rope_freqs.weight"
    assert llama.plan(former).constants[key].tolist() == llama.plan(now).constants[key].tolist()


def test_an_untied_model_has_a_head_of_its_own(base: Path) -> None:
    def targets(tied: bool) -> set[str]:
        return {tensor.target for tensor in llama.plan(configuration(base, tie_word_embeddings=tied)).tensors}

    assert targets(False) - targets(True) == {"output.weight"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("attention_bias", True),
        ("mlp_bias", True),
        ("hidden_act", "gelu"),
        ("rope_parameters", {"rope_type": "yarn", "rope_theta": 1e4}),
        ("rope_parameters", "plain"),
        ("rope_parameters", [1, 2]),
        ("hidden_size", -64),
        ("num_hidden_layers", 10**9),
    ],
)
def test_what_the_converter_does_not_write_is_refused_by_name(base: Path, field: str, value: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        llama.plan(configuration(base, **{field: value}))
    assert refused.value.violations[0].field.startswith(f"config.json: {field}")


def test_another_architecture_is_refused_by_name(base: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "base")
    (tmp_path / "base/config.json").write_text(json.dumps(configuration(base, model_type="mixtral")))
    with pytest.raises(InvalidInput, match="'mixtral' is not supported, only llama") as refused:
        plan_model(open_checkpoint(tmp_path / "base"))
    assert refused.value.reason == "UNSUPPORTED_ARCHITECTURE"


def test_weights_that_are_not_those_of_the_configuration_are_all_named(base: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "base")
    (tmp_path / "base/config.json").write_text(json.dumps(configuration(base, num_hidden_layers=1, vocab_size=500)))
    with pytest.raises(InvalidInput) as refused:
        plan_model(open_checkpoint(tmp_path / "base"))
    problems = {violation.field: violation.description for violation in refused.value.violations}
    assert problems["model.embed_tokens.weight"] == "has shape [416, 64], config.json asks for [500, 64]"
    assert problems["model.layers.1.mlp.up_proj.weight"] == "is no tensor of this architecture"
    assert len(problems) == 10
