"""Looks at a model's files before anything is loaded: whether they are whole, go together, and what they are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftConfig, get_peft_model, get_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForCausalLM

from fragua_platform.errors import Corrupted, InvalidInput, Violation

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
_MAX_VIOLATIONS = 20

_KEEP_THE_BASE = (True, False, "gaussian", "orthogonal", "eva")
"""Initialisations that leave the base as it is."""

_DECISIVE = (
    "config.json",
    "generation_config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer*",
    "*.jinja",
    "vocab*",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "*.model",
)
"""What decides a base's answers. A licence or a description may change without changing one."""


@dataclass(frozen=True)
class ModelFiles:
    """Which files make a model. What is equal answers alike."""

    base: Path
    adapter: Path | None
    merged: bool


def read_config(base: Path) -> Any:
    if not (base / "config.json").is_file():
        raise InvalidInput(f"{base.name} has no config.json: it must be a Hugging Face model directory")
    try:
        config = AutoConfig.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    except Exception as broken:  # The libraries below raise whatever they like at a damaged file.
        raise InvalidInput(f"config.json of {base.name} cannot be read: {broken}") from broken
    return config


def check_base(base: Path) -> None:
    files = sorted(base.glob("*.safetensors"))
    if not files:
        raise InvalidInput(f"{base.name} has no weights: save them as safetensors")
    for file in files:
        _tensor_shapes(file)


def check_adapter(files: ModelFiles, base_config: Any) -> None:
    """Raises InvalidInput when the adapter is not one for this base, naming every tensor that does not fit."""
    if files.adapter is None:
        return
    config = read_adapter_config(files.adapter)
    # Only the shapes matter, and some initialisations compute for long.
    config.init_lora_weights = False
    try:
        with torch.device("meta"):
            model = get_peft_model(AutoModelForCausalLM.from_config(base_config), config, low_cpu_mem_usage=True)
    except ValueError as unmatched:
        raise InvalidInput(
            f"the adapter is for another base: {unmatched}", reason="ADAPTER_BASE_MISMATCH"
        ) from unmatched
    given = _tensor_shapes(files.adapter / ADAPTER_WEIGHTS)
    # Otherwise PEFT would ask a hub whether the base's vocabulary has grown.
    expected = {
        name: tuple(tensor.shape)
        for name, tensor in get_peft_model_state_dict(model, save_embedding_layers=False).items()
    }
    violations = [
        Violation(f"adapter, {name}", f"is {_shape(given.get(name))}, the base takes {_shape(expected.get(name))}")
        for name in sorted(given.keys() | expected.keys())
        if given.get(name) != expected.get(name)
    ]
    if violations:
        raise InvalidInput(
            f"the adapter is for another base: {len(violations)} tensors do not fit; "
            f"first: {violations[0].field}: {violations[0].description}",
            reason="ADAPTER_BASE_MISMATCH",
            violations=violations[:_MAX_VIOLATIONS],
        )


def read_adapter_config(adapter: Path) -> LoraConfig:
    for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        if not (adapter / name).is_file():
            raise InvalidInput(f"the adapter has no {name}: it must be a PEFT directory saved with safetensors")
    try:
        config = PeftConfig.from_pretrained(str(adapter))
    except (OSError, ValueError, KeyError, TypeError) as broken:
        raise InvalidInput(f"the adapter's {ADAPTER_CONFIG} cannot be read: {broken}") from broken
    if not isinstance(config, LoraConfig):
        raise InvalidInput(f"the adapter is of type {config.peft_type}; only LoRA adapters can be scored")
    if config.bias != "none":
        raise InvalidInput(
            f"the adapter also trained biases (bias = {config.bias!r}), which cannot be switched off to hear the "
            "base; train with bias = 'none'"
        )
    if config.init_lora_weights not in _KEEP_THE_BASE or config.layer_replication:
        setting = (
            "layer_replication" if config.layer_replication else f"init_lora_weights = {config.init_lora_weights!r}"
        )
        raise InvalidInput(f"the adapter changes the base itself ({setting}), so no other arm could speak by that base")
    if getattr(config, "alora_invocation_tokens", None):
        raise InvalidInput("the adapter is an aLoRA, which is on for a part of the prompt only; train a plain LoRA")
    config.inference_mode = True
    return config


def digest_of(files: ModelFiles) -> str:
    """Changes with every byte that decides an answer.

    All bytes are read: two trainings of one base differ in nothing but the values of their weights. That costs a second
    for each GB and happens once per file set; loading finds the files in the page cache then.
    """
    decisive = {file for pattern in _DECISIVE for file in files.base.glob(pattern) if file.is_file()}
    named = [(f"base/{file.name}", file) for file in sorted(decisive)]
    if files.adapter is not None:
        named += [(f"adapter/{name}", files.adapter / name) for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS)]
    with ThreadPoolExecutor() as threads:
        digests = list(threads.map(_sha256, (file for _, file in named)))
    description = {
        "files": dict(zip((name for name, _ in named), digests, strict=True)),
        # The same sums in another order: the last bits differ.
        "merged": files.merged,
    }
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


def weights_type_of(base: Path) -> torch.dtype:
    """The type that most numbers of the base have."""
    names: dict[str, int] = {}
    for file in base.glob("*.safetensors"):
        with safe_open(file, "pt") as tensors:
            for name in _names(tensors):
                part = tensors.get_slice(name)
                size = torch.Size(part.get_shape()).numel()
                names[part.get_dtype()] = names.get(part.get_dtype(), 0) + size
    most = max(names, key=lambda name: names[name], default="F32")
    return {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}.get(most, torch.float32)


def weights_bytes(base: Path) -> int:
    return sum(file.stat().st_size for file in base.glob("*.safetensors"))


def _tensor_shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """From the file's header, which says as well how long the file has to be."""
    try:
        with safe_open(file, "pt") as tensors:
            return {name: tuple(tensors.get_slice(name).get_shape()) for name in _names(tensors)}
    except SafetensorError as damaged:
        raise Corrupted(f"{file.parent.name}/{file.name} is damaged: {damaged}") from damaged


def _names(tensors: Any) -> Iterable[str]:
    return list(tensors.keys())


def _shape(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else "×".join(map(str, shape))


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
