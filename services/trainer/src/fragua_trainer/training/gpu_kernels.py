"""Liger's kernels for norms, rotary positions and feed-forward layers on a GPU, where liger-kernel is installed."""

from __future__ import annotations

from importlib.util import find_spec

import torch
from transformers import PreTrainedModel


def use_gpu_kernels(model: PreTrainedModel, device: torch.device) -> None:
    """Put them in before LoRA is attached; architectures that Liger does not know stay as they are.

    Its loss stays out: ours has logits at supervised places only, which saves more, and weighs tokens over the whole step.
    """
    if device.type != "cuda" or find_spec("liger_kernel") is None:
        return
    from liger_kernel.transformers import (  # type: ignore[import-not-found]
        _apply_liger_kernel_to_instance,
    )

    _apply_liger_kernel_to_instance(model=model, cross_entropy=False, fused_linear_cross_entropy=False)
