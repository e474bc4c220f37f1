"""Loads the base once and puts the adapter on it, or says by name what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedModel

from fragua_evaluator.scoring.chat import Chat
from fragua_evaluator.scoring.model import TunedModel, out_of_memory_reported
from fragua_platform.errors import Corrupted, InvalidInput, Violation

ADAPTER_WEIGHTS = "adapter_model.safetensors"
_MAX_VIOLATIONS = 20

_SMALL_BASE_BYTES = 1 << 30
"""On a CPU, smaller bases run in fp32: it is the faster there, and the memory does not matter."""


def load_tuned_model(base: Path, adapter: Path, chat: Chat, max_new_tokens: int) -> TunedModel:
    """Raises InvalidInput when the adapter is not one for this base, naming every tensor that does not fit."""
    config = _adapter_config(adapter)
    model = _load_base(base)
    # It names the folder of the machine that trained, and PEFT would warn that ours is another.
    config.base_model_name_or_path = model.name_or_path
    # What the base's authors recommend, such as sampling or a repetition penalty, would fill every gap of ours.
    model.generation_config = GenerationConfig()
    try:
        tuned: PeftModel = get_peft_model(model, config)
    except ValueError as unmatched:
        raise InvalidInput(
            f"the adapter is for another base: {unmatched}", reason="ADAPTER_BASE_MISMATCH"
        ) from unmatched
    _put_weights(tuned, adapter / ADAPTER_WEIGHTS)
    return TunedModel(tuned.eval(), chat, max_new_tokens)


def _adapter_config(adapter: Path) -> LoraConfig:
    for name in ("adapter_config.json", ADAPTER_WEIGHTS):
        if not (adapter / name).is_file():
            raise InvalidInput(f"the adapter has no {name}: it must be a PEFT directory saved with safetensors")
    try:
        config = PeftConfig.from_pretrained(str(adapter))
    except (OSError, ValueError, KeyError, TypeError) as broken:
        raise InvalidInput(f"the adapter's adapter_config.json cannot be read: {broken}") from broken
    if not isinstance(config, LoraConfig):
        raise InvalidInput(f"the adapter is of type {config.peft_type}; only LoRA adapters can be scored")
    if config.bias != "none":
        raise InvalidInput(
            f"the adapter also trained biases (bias = {config.bias!r}), which cannot be switched off to hear the "
            "base; train with bias = 'none'"
        )
    config.inference_mode = True
    return config


def _load_base(base: Path) -> PreTrainedModel:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    is_small = sum(file.stat().st_size for file in base.glob("*.safetensors")) < _SMALL_BASE_BYTES
    try:
        with out_of_memory_reported("the base needs a machine with more of it"):
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                base,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.float32 if is_small and device.type == "cpu" else "auto",
                output_loading_info=True,
            )
            model: PreTrainedModel
            model, report = loaded  # a pair, because of output_loading_info
            nn.Module.to(model, device)
    except SafetensorError as damaged:
        raise Corrupted(f"the base model's weights are damaged: {damaged}") from damaged
    except (OSError, ValueError, RuntimeError) as broken:
        raise InvalidInput(f"the base model cannot be loaded: {broken}") from broken
    if missing := sorted(report["missing_keys"]):
        # transformers would fill them with random numbers and only warn.
        raise InvalidInput(f"the base model lacks {len(missing)} of its weights, such as {missing[0]}")
    return model


def _put_weights(model: PeftModel, file: Path) -> None:
    try:
        given = load_file(file)
    except SafetensorError as damaged:
        raise Corrupted(f"the adapter's weights are damaged: {damaged}") from damaged
    # Otherwise PEFT would ask a hub whether the base's vocabulary has grown.
    expected = get_peft_model_state_dict(model, save_embedding_layers=False)
    violations = [
        Violation(f"adapter, {name}", f"is {_shape(given, name)}, the base takes {_shape(expected, name)}")
        for name in sorted(given.keys() | expected.keys())
        if _shape(given, name) != _shape(expected, name)
    ]
    if violations:
        raise InvalidInput(
            f"the adapter is for another base: {len(violations)} tensors do not fit; "
            f"first: {violations[0].field}: {violations[0].description}",
            reason="ADAPTER_BASE_MISMATCH",
            violations=violations[:_MAX_VIOLATIONS],
        )
    set_peft_model_state_dict(model, given)


def _shape(tensors: dict[str, torch.Tensor], name: str) -> str:
    return "×".join(map(str, tensors[name].shape)) if name in tensors else "absent"
