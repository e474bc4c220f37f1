"""Splits the frozen base over the ranks, where it does not fit one device (FSDP2).

A rank keeps its part of each decoder layer; a layer is whole only while it is computed, and again on the way back. The
adapter is small and stays whole on every rank, so gradients, checkpoints and outputs are those of an unsplit run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from peft import PeftModel
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from transformers import PreTrainedModel

from fragua_platform.errors import InvalidInput, Violation
from fragua_trainer.domain.training_spec import Quantization, Substitution, TrainingSpec
from fragua_trainer.training.batch import IGNORED, Batch, Example, collate
from fragua_trainer.training.quantization import QUANTIZED
from fragua_trainer.training.ranks import Ranks

IDLE = Example([0, 0], [IGNORED, IGNORED])
"""A row that nothing is learned from."""


def refuse_lonely_sharding(spec: TrainingSpec, processes: int) -> str:
    """A notice where one process was asked to split the base and may go on without; else `InvalidInput`."""
    if not spec.shard_base or processes > 1:
        return ""
    problem = (
        "shard_base is impossible here: there is one process, and nobody to share the base with; give the worker "
        "several GPUs, leave shard_base out, or take substitution: allow"
    )
    if spec.substitution is Substitution.REFUSE:
        raise InvalidInput(problem, violations=[Violation("shard_base", problem)], reason="NOT_SUPPORTED_HERE")
    return "shard_base was left out: there is one process"


def can_shard(spec: TrainingSpec, quantization: Quantization, processes: int) -> bool:
    """Quantized weights lie in forms that cannot be split and put together again."""
    return processes > 1 and quantization not in QUANTIZED and spec.shard_base is not False


def shard_base(model: PeftModel, device: torch.device, ranks: Ranks) -> None:
    """Leave each rank its part on `device`, of a model that lies in main memory whole."""
    mesh = init_device_mesh(device.type, (ranks.count,))
    trained = {parameter for parameter in model.parameters() if parameter.requires_grad}
    for parameter in trained:
        parameter.data = parameter.data.to(device)
    causal: Any = model.get_base_model()
    for layer in decoder_layers(causal):
        fully_shard(layer, mesh=mesh, ignored_params=trained)
    # From outside in, since PEFT calls the model inside by its forward method alone, where no hook is.
    fully_shard(model, mesh=mesh, ignored_params=trained)
    register_fsdp_forward_method(model, "generate")


def decoder_layers(model: PreTrainedModel) -> Sequence[torch.nn.Module]:
    layers: Sequence[torch.nn.Module] = model.get_decoder().layers
    return layers


def idle_batches(count: int, ranks: Ranks, device: torch.device) -> list[Batch]:
    """What a rank with `count` batches computes along, so that no layer waits for the part that it holds."""
    return [collate([IDLE])] * (ranks.most(count, device) - count)
