"""Puts a LoRA adapter on the base model, and reports target names that match no layer instead of skipping them."""

from __future__ import annotations

from collections import Counter

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedModel

from fragua_platform.errors import InvalidInput, Violation
from fragua_trainer.domain.training_spec import LoraSpec


def match_targets(model: PreTrainedModel, lora: LoraSpec) -> dict[str, int]:
    """How many layers each target name matches; `InvalidInput` lists every name that matches none.

    PEFT itself trains on with the names that do match. Phi-3 shows how much that loses: its fused `qkv_proj` and
    `gate_up_proj` leave only two of the usual seven names.
    """
    names = _linear_layers(model)
    present = Counter(name.rpartition(".")[2] for name in names)
    matches = {
        target: sum(name == target or name.endswith(f".{target}") for name in names)
        for target in lora.target_modules or sorted(present)
    }
    unmatched = [target for target, count in matches.items() if count == 0]
    if unmatched:
        has = ", ".join(sorted(present))
        violations = [
            Violation(
                "lora.target_modules", f"{target!r} matches no linear layer of {type(model).__name__}; it has {has}"
            )
            for target in unmatched
        ]
        raise InvalidInput("; ".join(violation.description for violation in violations), violations=violations)
    return matches


def attach_lora(model: PreTrainedModel, lora: LoraSpec, targets: dict[str, int], seed: int, name: str) -> PeftModel:
    """Wrap `model` so that only the adapter's weights train. `name` is what adapter_config.json calls the base."""
    torch.manual_seed(seed)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # annotated int, used as a factor
        lora_dropout=lora.dropout,
        target_modules=sorted(targets),
        task_type="CAUSAL_LM",
    )
    adapted = get_peft_model(model, config)
    # PEFT noted the path of this run's input folder, which means nothing to anyone else,
    config.base_model_name_or_path = name
    # and keeps names in a set, which would give adapter_config.json another order in every process.
    config.target_modules = sorted(targets)
    assert isinstance(adapted, PeftModel)
    return adapted


def trainable_parameters(model: PeftModel) -> list[tuple[str, nn.Parameter]]:
    """In the order of the model's layers, which is the same in every run of one architecture."""
    return [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]


def _linear_layers(model: PreTrainedModel) -> list[str]:
    head = model.get_output_embeddings()
    return [name for name, module in model.named_modules() if isinstance(module, nn.Linear) and module is not head]
