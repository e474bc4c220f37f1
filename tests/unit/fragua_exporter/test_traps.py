"""The known ways to write a file that loads and speaks as another model: each is seen when our guard is taken away.

The weights are strong on purpose: with the usual small ones, greedy answers stayed the same even without the order of
query and key rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from fragua_exporter.conversion.architectures import plan_model
from fragua_exporter.conversion.architectures.llama import interleave_rotary_halves
from fragua_exporter.conversion.architectures.plan import ModelPlan, TensorPlan, as_stored
from fragua_exporter.conversion.checkpoint import open_checkpoint
from tests.tiny_families import make_tiny_family
from tests.unit.fragua_exporter.conversions import ForgetfulWriter, convert, divergence
from tests.unit.fragua_exporter.test_architectures import some_ids

Change = Callable[[ModelPlan], ModelPlan]


def tensors(name: str, transform: Callable[[np.ndarray], np.ndarray]) -> Change:
    """Treat every tensor whose name holds `name` otherwise."""

    def change(tensor: TensorPlan) -> TensorPlan:
        return dataclasses.replace(tensor, transform=transform) if name in tensor.source else tensor

    return lambda plan: dataclasses.replace(plan, tensors=tuple(map(change, plan.tensors)))


def without_constants(plan: ModelPlan) -> ModelPlan:
    return dataclasses.replace(plan, constants={})


def entry(method: str, value: float | None = None) -> Change:
    """Leave the metadata that `method` writes out, or write `value` in its place."""

    def change(plan: ModelPlan) -> ModelPlan:
        def write(writer: gguf.GGUFWriter) -> None:
            plan.write_metadata(ForgetfulWriter(writer, method, value))  # type: ignore[arg-type]

        return dataclasses.replace(plan, write_metadata=write)

    return change


def rotating_whole_heads(plan: ModelPlan) -> ModelPlan:
    return entry("add_rope_dimension_count", 16)(without_constants(plan))


def swapped_halves(weight: np.ndarray) -> np.ndarray:
    first, second = np.split(weight, 2)
    return np.concatenate((second, first))


def queries_last(weight: np.ndarray) -> np.ndarray:
    return np.concatenate((weight[64:], weight[:64]))


TRAPS: dict[str, tuple[str, Change]] = {
    "Llama's query rows in the order of transformers": ("llama", tensors("q_proj", as_stored)),
    "Llama's key rows in the order of transformers": ("llama", tensors("k_proj", as_stored)),
    "Mistral's query rows in the order of transformers": ("mistral", tensors("q_proj", as_stored)),
    "Qwen 2's query rows in the order of Llama": ("qwen2", tensors("q_proj.w", partial(interleave_rotary_halves, 4))),
    "Qwen 3's key rows in the order of Llama": ("qwen3", tensors("k_proj", partial(interleave_rotary_halves, 2))),
    "no rope_freqs for Llama 3's scaling": ("llama", without_constants),
    "no key biases in Qwen 2": ("qwen2", tensors("k_proj.bias", np.zeros_like)),
    "no value biases in Qwen 2": ("qwen2", tensors("v_proj.bias", np.zeros_like)),
    "no query norm in Qwen 3": ("qwen3", tensors("q_norm", np.ones_like)),
    "Phi-3's up before its gate": ("phi3", tensors("gate_up_proj", swapped_halves)),
    "Phi-3's queries behind its keys": ("phi3", tensors("qkv_proj", queries_last)),
    "Phi-3 rotating whole heads": ("phi3-longrope", rotating_whole_heads),
    "no short factors in Phi-3.5": ("phi3-longrope", without_constants),
    "no attention factor in Phi-3.5": ("phi3-longrope", entry("add_rope_scaling_attn_factors")),
    "Gemma 2's norms without 1": ("gemma2", tensors("norm.weight", as_stored)),
    "no soft cap on Gemma 2's scores": ("gemma2", entry("add_attn_logit_softcapping", 1e9)),
    "no soft cap on Gemma 2's logits": ("gemma2", entry("add_final_logit_softcapping", 1e9)),
    "no window in Gemma 2": ("gemma2", entry("add_sliding_window", 4096)),
    "Gemma 3's head norms without 1": ("gemma3", tensors("q_norm", as_stored)),
    "no window in Gemma 3": ("gemma3", entry("add_sliding_window", 4096)),
    "Gemma 3's long waves in every layer": ("gemma3", entry("add_rope_freq_base_swa", 1_000_000.0)),
    "Gemma 3's scaling forgotten": ("gemma3", entry("add_rope_scaling_factor", 1.0)),
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    families = sorted({family for family, _ in TRAPS.values()})
    return {family: make_tiny_family(family, tmp_path_factory.mktemp(family)) for family in families}


@pytest.fixture(scope="module")
def models(bases: dict[str, Path]) -> dict[str, Any]:
    return {family: AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32) for family, base in bases.items()}


@pytest.mark.parametrize("trap", TRAPS)
def test_a_file_with_this_fault_is_another_model(
    trap: str, bases: dict[str, Path], models: dict[str, Any], tmp_path: Path
) -> None:
    family, change = TRAPS[trap]
    plan = change(plan_model(open_checkpoint(bases[family])))
    file = convert(bases[family], tmp_path / "model.gguf", plan=plan)
    assert divergence(file, models[family], some_ids()).mean > 1e-2
