"""Merges a PEFT LoRA adapter into its base, some rows at a time and always in 32 bits.

W' = W + scale * (B @ A),  scale = alpha / r,  or alpha / sqrt(r) for rank-stabilised LoRA
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fragua_exporter.conversion.architectures.plan import ModelPlan, Transform, as_stored
from fragua_exporter.conversion.checkpoint import (
    FEWEST_ROWS,
    check_dtypes,
    read_headers,
    read_json,
    read_tensor,
    widened,
)
from fragua_exporter.domain.export_spec import violations_of
from fragua_platform.errors import InvalidData, InvalidInput, Violation

PLAIN_LORA: Mapping[str, tuple[Any, ...]] = {
    "peft_type": ("LORA",),
    "bias": ("none",),
    "fan_in_fan_out": (False,),
    # PiSSA, OLoRA, CorDA, LoRA-GA and LoftQ change the base before training: their update does not fit the original base.
    "init_lora_weights": (True, False, "gaussian", "orthogonal", "eva"),
}
"""Settings of adapter_config.json with the values under which the formula above holds."""

OTHER_ARITHMETIC = (
    "modules_to_save",
    "use_dora",
    "lora_bias",
    "layer_replication",
    "rank_pattern",
    "alpha_pattern",
    "trainable_token_indices",
    "target_parameters",
    "use_qalora",
    "use_bdlora",
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "velora_config",
    "monteclora_config",
)
"""Settings that change the formula, or what is trained, as soon as they hold anything."""

_PREFIX = "base_model.model."
_SHOWN_PROBLEMS = 20


class LoraShape(BaseModel):
    model_config = ConfigDict(frozen=True)

    r: Annotated[int, Field(ge=1, le=65_536)]
    lora_alpha: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    use_rslora: bool = False

    @property
    def scale(self) -> float:
        return self.lora_alpha / (math.sqrt(self.r) if self.use_rslora else self.r)


@dataclass(frozen=True)
class LowRankUpdate:
    """In 32 bits."""

    a: np.ndarray
    b: np.ndarray


@dataclass(frozen=True)
class Adapter:
    rank: int
    scale: float
    updates: Mapping[str, LowRankUpdate]
    """By the name of the base tensor that each one changes."""

    def merge(self, name: str, blocks: Iterable[np.ndarray], transform: Transform = as_stored) -> Iterator[np.ndarray]:
        """The rows of `blocks`, in 32 bits with the update added; as they are where there is none.

        `transform` is what the rows of the whole tensor went through. Each block that was changed is overwritten by the
        next one.
        """
        update = self.updates.get(name)
        if update is None:
            yield from blocks
            return
        b = transform(update.b)
        merged = np.empty((0, 0), np.float32)
        start = 0
        for block in widened(blocks):
            end = start + len(block)
            # A last block of few rows is multiplied together with rows before it: see FEWEST_ROWS.
            first = max(0, min(start, end - FEWEST_ROWS))
            if len(merged) < end - first:
                merged = np.empty((end - first, block.shape[1]), np.float32)
            _multiply(b[first:end], update.a, merged[: end - first])
            rows = merged[start - first : end - first]
            rows *= self.scale
            rows += block
            start = end
            yield rows


NO_ADAPTER = Adapter(rank=1, scale=1.0, updates={})
"""Leaves the base as it is."""


def load_adapter(directory: Path, plan: ModelPlan) -> Adapter:
    """Load the adapter if it is plain LoRA and every one of its tensors has its place in the planned model."""
    config = read_json(directory / "adapter_config.json")
    shape = _parse(config)
    file = directory / "adapter_model.safetensors"
    entries = read_headers(file)
    places = {tensor.source: tensor.shape for tensor in plan.tensors if len(tensor.shape) == 2}

    problems = []
    targets: dict[str, tuple[str, str]] = {}
    for key in sorted(entries):
        module, _, part = key.removeprefix(_PREFIX).rpartition(".lora_")
        name = f"{module}.weight"
        if not key.startswith(_PREFIX) or part not in ("A.weight", "B.weight"):
            problems.append(Violation(key, "is no LoRA matrix; save the adapter without embedding layers"))
        elif name not in places:
            problems.append(Violation(key, f"the base has no separate weight matrix {name!r}"))
        else:
            rows, columns = places[name]
            expected = (shape.r, columns) if part == "A.weight" else (rows, shape.r)
            if entries[key].shape != expected:
                problems.append(
                    Violation(key, f"has shape {list(entries[key].shape)}, the base needs {list(expected)}")
                )
            targets[name] = (f"{_PREFIX}{module}.lora_A.weight", f"{_PREFIX}{module}.lora_B.weight")
    for pair in targets.values():
        problems += [Violation(key, "is missing: A and B come in pairs") for key in pair if key not in entries]
    if not targets and not problems:
        problems.append(Violation(file.name, "holds no LoRA matrices"))
    if problems:
        raise InvalidInput(
            f"adapter: {len(problems)} tensor(s) do not fit this base; export it with the base it was trained on",
            violations=problems[:_SHOWN_PROBLEMS],
            reason="ADAPTER_MISMATCH",
        )

    check_dtypes(entries, "adapter: save it in 16 or 32 bits")
    tensors = {key: read_tensor(entry) for key, entry in entries.items()}
    not_finite = [Violation(key, "holds NaN or infinity") for key, t in tensors.items() if not np.isfinite(t).all()]
    if not_finite:
        raise InvalidData("adapter: the training diverged; train again", violations=not_finite[:_SHOWN_PROBLEMS])
    updates = {name: LowRankUpdate(tensors[a], tensors[b]) for name, (a, b) in targets.items()}
    return Adapter(shape.r, shape.scale, updates)


def _multiply(left: np.ndarray, right: np.ndarray, product: np.ndarray) -> None:
    """In torch, as PEFT does: another library adds up in another order, and the last bits would not be PEFT's."""
    # Imported late: it takes seconds, and a base alone needs none of it.
    import torch

    torch.mm(torch.from_numpy(left), torch.from_numpy(right), out=torch.from_numpy(product))


def _parse(config: Mapping[str, Any]) -> LoraShape:
    foreign = [
        Violation(f"adapter_config.json: {name}", f"{config[name]!r} is not supported, only {allowed[0]!r}")
        for name, allowed in PLAIN_LORA.items()
        if name in config and config[name] not in allowed
    ]
    foreign += [
        Violation(f"adapter_config.json: {name}", f"{config[name]!r} is not supported; train without it")
        for name in OTHER_ARITHMETIC
        if config.get(name)
    ]
    if foreign:
        raise InvalidInput(
            "adapter: it does more than plain LoRA and cannot be merged exactly; train it again without these settings",
            violations=foreign,
            reason="UNSUPPORTED_ADAPTER",
        )
    try:
        return LoraShape.model_validate(config)
    except ValidationError as invalid:
        violations = violations_of(invalid, "adapter_config.json")
        raise InvalidInput("adapter: adapter_config.json is not usable", violations=violations) from invalid
