"""Opens whatever an arm names, ready to answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fragua_evaluator.domain.arm import (
    ArmSpec,
    Decoding,
    EndpointModel,
    GgufModel,
    Limits,
    LocalModel,
    OllamaModel,
    ReadyOutputs,
)
from fragua_evaluator.scoring.targets.port import Target

if TYPE_CHECKING:
    from fragua_evaluator.scoring.targets.local.loaded import LoadedModels


def open_target(arm: ArmSpec, inputs: Path, decoding: Decoding, limits: Limits, loaded: LoadedModels | None) -> Target:
    """Each kind is imported when it is needed: an arm behind an endpoint must not cost the memory of torch.

    `loaded` is there when any arm of the evaluation is a model that this process loads.
    """
    if isinstance(arm.target, LocalModel):
        from fragua_evaluator.scoring.targets.local.target import open_local_model

        assert loaded is not None
        return open_local_model(arm.target, inputs, decoding, loaded)
    if loaded is not None:
        # What an earlier arm left in memory is no part of what this one takes.
        loaded.free_unused()
    match arm.target:
        case GgufModel() as model:
            from fragua_evaluator.scoring.targets.gguf import GgufTarget

            return GgufTarget(model, inputs, decoding, limits)
        case OllamaModel() as model:
            from fragua_evaluator.scoring.targets.ollama import OllamaTarget

            return OllamaTarget(model, decoding, limits)
        case EndpointModel() as model:
            from fragua_evaluator.scoring.targets.openai import EndpointTarget

            return EndpointTarget(model, decoding, limits)
        case ReadyOutputs() as model:
            from fragua_evaluator.scoring.targets.outputs import OutputsTarget

            return OutputsTarget(model, inputs, limits)
