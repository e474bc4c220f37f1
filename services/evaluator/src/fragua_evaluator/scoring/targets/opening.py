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


def open_target(arm: ArmSpec, inputs: Path, decoding: Decoding, limits: Limits, loaded: LoadedModels) -> Target:
    """Each kind is imported when it is needed: an arm behind an endpoint must not cost the memory of torch."""
    match arm.target:
        case LocalModel() as model:
            from fragua_evaluator.scoring.targets.local.target import open_local_model

            return open_local_model(model, inputs, decoding, loaded)
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
