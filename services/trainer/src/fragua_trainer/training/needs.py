"""How much memory and disk a run needs, computed from shapes before anything is loaded."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedModel

from fragua_platform.errors import LimitExceeded
from fragua_trainer.domain.training_spec import LoraSpec, Optimizer, Precision, Quantization, TrainingSpec
from fragua_trainer.training.hardware import computes_bf16
from fragua_trainer.training.packing import PACK_TOKENS
from fragua_trainer.training.sharding import decoder_layers

_LIBRARIES_BYTES = 600 << 20
"""A process that has imported torch, transformers and peft."""
_BYTES_PER_WEIGHT = {Quantization.BNB4: 0.52, Quantization.INT8: 1.01}
_MOMENT_BYTES = {Optimizer.ADAMW: 8, Optimizer.ADAMW_8BIT: 2, Optimizer.PAGED_ADAMW_8BIT: 2}
_KEPT_PER_CHANNEL = 10
"""Values that one layer keeps for the way back, for each token and channel of its width: inputs of norms, of attention
and of projections. Four more per channel of the feed-forward part."""


def trainable_count(shapes: dict[str, tuple[int, int]], targets: dict[str, int], lora: LoraSpec) -> int:
    """Parameters of A and B, and DoRA's magnitudes. Biases that train along are not counted."""
    return sum(
        count * (lora.rank * sum(shapes[target]) + (shapes[target][0] if lora.dora else 0))
        for target, count in targets.items()
    )


def memory_needed(
    layers: PreTrainedModel,
    spec: TrainingSpec,
    quantization: Quantization,
    precision: Precision,
    trainable: int,
    longest_row: int,
    checkpointing: bool,
    device: torch.device,
    shards: int = 1,
) -> int:
    """Bytes of the base, the adapter with its optimizer, and what a step keeps for the way back.

    Of a base that is split over `shards` processes, each holds its part, two layers whole for a while (one is computed,
    the next one is on its way), and what is beside the layers from the way there until the way back.
    """
    width = 2 if precision is Precision.BF16 else 4
    base = (
        sum(parameter.numel() * width for parameter in layers.parameters())
        if quantization not in _BYTES_PER_WEIGHT
        else _quantized(layers, _BYTES_PER_WEIGHT[quantization], width)
    )
    if shards > 1:
        in_layers = [sum(weight.numel() for weight in layer.parameters()) for layer in decoder_layers(layers)]
        beside = sum(parameter.numel() for parameter in layers.parameters()) - sum(in_layers)
        base = base / shards + (2 * max(in_layers) + beside) * width
    adapter = trainable * (4 + 4 + _MOMENT_BYTES[spec.optimizer])
    config = layers.config.get_text_config()
    tokens = max(longest_row, min(PACK_TOKENS, spec.schedule.batch_size * longest_row))
    per_layer = _KEPT_PER_CHANNEL * config.hidden_size + 4 * config.intermediate_size
    kept = (
        config.num_hidden_layers * config.hidden_size + per_layer
        if checkpointing
        else config.num_hidden_layers * per_layer
    )
    # Without instructions for bf16 the steps may compute in fp32: products.py.
    kept_width = width if computes_bf16(device) else 4
    return int(_LIBRARIES_BYTES + base + adapter + tokens * kept * kept_width)


def disk_needed(spec: TrainingSpec, trainable: int) -> int:
    """Bytes of the adapter and of the checkpoints that are kept at a time: the last, the best, the one being written."""
    checkpoint = trainable * (4 + _MOMENT_BYTES[spec.optimizer])
    return trainable * 4 + (spec.logging.keep_checkpoints + 2) * checkpoint


def refuse_full_disk(needed: int, directory: Path) -> None:
    free = shutil.disk_usage(directory).free
    if needed > free:
        raise LimitExceeded(
            f"the adapter and its checkpoints need {needed >> 20} MiB of disk, and {free >> 20} MiB are free: "
            "give the worker more disk, or lower lora.rank or logging.keep_checkpoints",
            reason="DISK_FULL",
        )


def _quantized(layers: PreTrainedModel, bytes_per_weight: float, width: int) -> float:
    """Only linear layers are quantized, and not the output head."""
    head = layers.get_output_embeddings()
    linear = sum(
        module.weight.numel() for module in layers.modules() if isinstance(module, nn.Linear) and module is not head
    )
    return linear * bytes_per_weight + (sum(parameter.numel() for parameter in layers.parameters()) - linear) * width
