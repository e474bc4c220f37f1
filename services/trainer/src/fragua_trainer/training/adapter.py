"""Puts a LoRA adapter on the base model, and reports target names that match no layer instead of skipping them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedModel

from fragua_platform.errors import InvalidInput, Violation
from fragua_trainer.domain.training_spec import LoraSpec

_FUSED: Mapping[str, tuple[str, ...]] = {
    "qkv_proj": ("q_proj", "k_proj", "v_proj"),
    "gate_up_proj": ("gate_proj", "up_proj"),
}
"""Layers that some architectures, such as Phi-3, have in place of several."""


@dataclass(frozen=True)
class ResolvedTargets:
    lora: LoraSpec
    """With the names that the model has."""
    notices: tuple[str, ...]
    """Which names stand for others now."""


def with_fused_names(model: PreTrainedModel, lora: LoraSpec) -> ResolvedTargets:
    """Put a fused layer's name in place of the names of all its parts, where the model has it and not them."""
    present = {name.rpartition(".")[2] for name in _linear_layers(model)}
    names, notices = list(lora.target_modules), []
    for fused, parts in _FUSED.items():
        if fused in present and present.isdisjoint(parts) and set(parts) <= set(names):
            names = [name for name in names if name not in (*parts, fused)] + [fused]
            notices.append(f"{', '.join(parts)} are one layer of {type(model).__name__}: trained as {fused}")
    return ResolvedTargets(lora.model_copy(update={"target_modules": tuple(names)}), tuple(notices))


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
                "lora.target_modules",
                f"{target!r} matches no linear layer of {type(model).__name__}; it has {has}{_part_of(target, present)}",
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
        exclude_modules=_outside_the_text_model(model),
        bias=lora.bias.value,
        use_rslora=lora.rslora,
        use_dora=lora.dora,
        task_type="CAUSAL_LM",
    )
    adapted = get_peft_model(model, config)
    # PEFT noted the path of this run's input folder, which means nothing to anyone else,
    config.base_model_name_or_path = name
    # and keeps names in a set, which would give adapter_config.json another order in every process.
    config.target_modules = sorted(targets)
    assert isinstance(adapted, PeftModel)
    for _, parameter in trainable_parameters(adapted):
        # Biases train too when asked for, and come in the base's number format.
        parameter.data = parameter.data.float()
    return adapted


def trainable_parameters(model: PeftModel) -> list[tuple[str, nn.Parameter]]:
    """In the order of the model's layers, which is the same in every run of one architecture."""
    return [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]


def layer_shapes(model: PreTrainedModel, targets: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Outputs and inputs of the first layer that each target matches."""
    layers = dict(model.named_modules())
    shapes = {}
    for target in targets:
        first = next(name for name in _linear_layers(model) if name == target or name.endswith(f".{target}"))
        outputs, inputs = layers[first].weight.shape
        shapes[target] = (int(outputs), int(inputs))
    return shapes


def _part_of(target: str, present: Mapping[str, int]) -> str:
    for fused, parts in _FUSED.items():
        if target in parts and fused in present:
            return f"; {' and '.join(parts)} are fused there: name all of them, or {fused}"
    return ""


def _linear_layers(model: PreTrainedModel) -> list[str]:
    """Of the text model, without the output head."""
    head = model.get_output_embeddings()
    text_model = set(model.get_decoder().modules())
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not head and module in text_model
    ]


def _outside_the_text_model(model: PreTrainedModel) -> list[str] | None:
    """Linear layers that see no text, such as those of a vision tower; their names may be the same."""
    inside = set(_linear_layers(model))
    outside = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and name not in inside and module is not model.get_output_embeddings()
    ]
    return outside or None
