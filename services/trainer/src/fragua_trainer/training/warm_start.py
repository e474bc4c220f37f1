"""Goes on from an adapter that was trained before: the same base, the same shapes, other data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file

from fragua_platform.errors import Corrupted, InvalidInput, Violation
from fragua_trainer.domain.training_spec import LoraSpec

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"


def check_warm_start(directory: Path, lora: LoraSpec, targets: dict[str, int], base_name: str) -> None:
    """Raise `InvalidInput` with every way in which the adapter in `directory` differs from the one to be trained."""
    try:
        config = json.loads((directory / CONFIG_FILE).read_bytes())
    except FileNotFoundError as missing:
        raise InvalidInput(
            f"warm_start: inputs/adapter has no {missing.filename}: it must be a PEFT adapter"
        ) from missing
    except (ValueError, RecursionError) as broken:
        raise Corrupted(f"warm_start: {CONFIG_FILE} is not JSON: {broken}") from broken
    if not (directory / WEIGHTS_FILE).is_file():
        raise InvalidInput(f"warm_start: inputs/adapter has no {WEIGHTS_FILE}; other formats are refused")
    problems = [
        Violation(field, f"is {wanted}, but the adapter to go on from was trained with {given}: take that")
        for field, wanted, given in _compared(config, lora, targets)
        if wanted != given
    ]
    former_base = config.get("base_model_name_or_path") or ""
    if base_name and former_base and former_base != base_name:
        problems.append(Violation("warm_start", f"belongs to {former_base}, not to {base_name}"))
    if problems:
        listed = "; ".join(f"{problem.field} {problem.description}" for problem in problems)
        raise InvalidInput(listed, violations=problems, reason="WARM_START_DIFFERS")


def load_warm_start(directory: Path, model: PeftModel) -> None:
    """Put the weights of the former adapter in the place of the new ones of `model`."""
    try:
        weights = load_file(directory / WEIGHTS_FILE)
    except SafetensorError as damaged:
        raise Corrupted(f"warm_start: {WEIGHTS_FILE} is damaged: {damaged}") from damaged
    # Without "auto", which would look for the base's vocabulary on a hub.
    expected = get_peft_model_state_dict(model, save_embedding_layers=False)
    differing = sorted(
        name
        for name in weights.keys() | expected.keys()
        if name not in weights or name not in expected or weights[name].shape != expected[name].shape
    )
    if differing:
        raise InvalidInput(
            f"warm_start: {len(differing)} weights do not fit this base, such as {differing[0]}: "
            "the adapter was trained on another one",
            violations=[Violation("warm_start", f"{name} does not fit this base") for name in differing[:10]],
            reason="WARM_START_DIFFERS",
        )
    set_peft_model_state_dict(model, weights)


def _compared(config: dict[str, Any], lora: LoraSpec, targets: dict[str, int]) -> list[tuple[str, object, object]]:
    """Field of the specification, what it asks for, what the former adapter has."""
    return [
        ("lora.rank", lora.rank, config.get("r")),
        ("lora.alpha", lora.alpha, config.get("lora_alpha")),
        ("lora.target_modules", sorted(targets), sorted(config.get("target_modules") or ())),
        ("lora.bias", lora.bias.value, config.get("bias", "none")),
        ("lora.rslora", lora.rslora, config.get("use_rslora", False)),
        ("lora.dora", lora.dora, config.get("use_dora", False)),
    ]
