"""NEFTune: noise on the embeddings while training, which keeps a model from learning few examples by heart."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel


def add_embedding_noise(model: PreTrainedModel, alpha: float) -> None:
    """Noise in ±alpha / sqrt(length * width) on what the embedding of `model` gives, in training only.

    `length` is that of the sequence at hand. https://arxiv.org/abs/2310.05914
    """

    def add_noise(embedding: nn.Module, _inputs: Any, embedded: torch.Tensor) -> torch.Tensor:
        if not embedding.training:
            return embedded
        reach = alpha / math.sqrt(embedded.shape[-2] * embedded.shape[-1])
        return embedded + torch.empty_like(embedded).uniform_(-reach, reach)

    if alpha:
        model.get_input_embeddings().register_forward_hook(add_noise)
