"""The architectures that this converter writes, by the `model_type` of config.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fragua_exporter.conversion.architectures import foreign, gemma, llama, phi, qwen
from fragua_exporter.conversion.architectures.plan import ModelPlan
from fragua_exporter.conversion.checkpoint import Checkpoint
from fragua_platform.errors import InvalidInput, Violation

PLANNERS: dict[str, Callable[[Mapping[str, Any]], ModelPlan]] = {
    "llama": llama.plan,
    "mistral": llama.plan_mistral,
    "qwen2": qwen.plan_qwen2,
    "qwen3": qwen.plan_qwen3,
    "phi3": phi.plan,
    "gemma2": gemma.plan_gemma2,
    "gemma3_text": gemma.plan_gemma3,
}

_SHOWN_PROBLEMS = 20


def plan_model(checkpoint: Checkpoint, converter: Path | None = None) -> ModelPlan:
    """Plan the conversion and hold the plan against the tensors that are really there.

    `converter` is left to write what we cannot: see `checkout.py`.
    """
    model_type = checkpoint.config.get("model_type")
    planner = PLANNERS.get(model_type) if isinstance(model_type, str) else None
    if planner is None and converter is not None:
        return foreign.plan(checkpoint, converter)
    if planner is None:
        raise InvalidInput(
            f"base model: architecture {model_type!r} is not supported, only {', '.join(PLANNERS)}; "
            "train the adapter on a base of a supported architecture, or set FRAGUA_ENGINE_LLAMA_CPP_DIR to a llama.cpp "
            "checkout, whose converter knows more of them",
            reason="UNSUPPORTED_ARCHITECTURE",
        )
    plan = planner(checkpoint.config)
    problems = _tensor_problems(plan, checkpoint)
    if problems:
        raise InvalidInput(
            f"base model: {len(problems)} tensor(s) do not fit the {model_type} model that config.json describes",
            violations=problems[:_SHOWN_PROBLEMS],
            reason="UNSUPPORTED_ARCHITECTURE",
        )
    return plan


def _tensor_problems(plan: ModelPlan, checkpoint: Checkpoint) -> list[Violation]:
    expected = {tensor.source: tensor.shape for tensor in plan.tensors}
    problems = []
    for name, shape in expected.items():
        entry = checkpoint.entries.get(name)
        if entry is None:
            problems.append(Violation(name, f"missing; config.json asks for {list(shape)}"))
        elif entry.shape != shape:
            problems.append(Violation(name, f"has shape {list(entry.shape)}, config.json asks for {list(shape)}"))
    for name in checkpoint.entries.keys() - expected.keys() - plan.ignored:
        if not name.endswith("rotary_emb.inv_freq"):  # A buffer of old checkpoints, computed from config.json anyway.
            problems.append(Violation(name, "is no tensor of this architecture"))
    return problems
