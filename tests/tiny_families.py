"""Builds a tiny random model of every architecture that the exporter converts, with weights strong enough to tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from tests.tiny_models import make_tiny_tokenizer, strengthen

HEAD_DIM = 16


@dataclass(frozen=True)
class Family:
    config: type[PreTrainedConfig]
    model: type[PreTrainedModel]
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What makes the tiny model one of this family, beside the sizes that all share."""


LLAMA_3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 128,
}

LONG_ROPE = {
    "rope_type": "longrope",
    "rope_theta": 10_000.0,
    "short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5],
    "long_factor": [1.0, 2.0, 4.0, 8.0, 16.0, 32.0],
    "partial_rotary_factor": 0.75,
}
"""Twelve of the sixteen rows of a head rotate, so six pairs."""

FAMILIES: dict[str, Family] = {
    "llama": Family(
        LlamaConfig,
        LlamaForCausalLM,
        {"head_dim": HEAD_DIM, "tie_word_embeddings": True, "rope_parameters": LLAMA_3_ROPE},
    ),
    "llama-untied": Family(LlamaConfig, LlamaForCausalLM, {"head_dim": HEAD_DIM}),
    "mistral": Family(MistralConfig, MistralForCausalLM, {"head_dim": 2 * HEAD_DIM, "sliding_window": 384}),
    "qwen2": Family(
        Qwen2Config, Qwen2ForCausalLM, {"tie_word_embeddings": True, "rope_parameters": {"rope_theta": 1_000_000.0}}
    ),
    "qwen3": Family(Qwen3Config, Qwen3ForCausalLM, {"head_dim": 2 * HEAD_DIM, "tie_word_embeddings": True}),
    "phi3": Family(Phi3Config, Phi3ForCausalLM, {"sliding_window": 384}),
    "phi3-longrope": Family(
        Phi3Config, Phi3ForCausalLM, {"rope_parameters": LONG_ROPE, "original_max_position_embeddings": 256}
    ),
    "gemma2": Family(
        Gemma2Config,
        Gemma2ForCausalLM,
        {
            "head_dim": 2 * HEAD_DIM,
            "query_pre_attn_scalar": 2 * HEAD_DIM,
            "sliding_window": 32,
            "attn_logit_softcapping": 5.0,
            "final_logit_softcapping": 5.0,
        },
    ),
    "gemma3": Family(
        Gemma3TextConfig,
        Gemma3ForCausalLM,
        {
            "head_dim": 2 * HEAD_DIM,
            "query_pre_attn_scalar": 2 * HEAD_DIM,
            "sliding_window": 32,
            "num_hidden_layers": 7,
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "rope_theta": 1_000_000.0, "factor": 8.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
            },
        },
    ),
}

FOREIGN = {
    "granite": Family(GraniteConfig, GraniteForCausalLM, {"tie_word_embeddings": True, "attention_multiplier": 0.25}),
}
"""Architectures that are not ours. With these multipliers Granite computes what a Llama does."""


def make_tiny_family(
    name: str,
    directory: Path,
    seed: int = 5,
    tokenizer: PreTrainedTokenizerFast | None = None,
    rows: int | None = None,
    **changes: Any,
) -> Path:
    """Write a strong random model of a family as a Hugging Face directory; `rows` pads the embedding beyond its tokens."""
    tokenizer = tokenizer or make_tiny_tokenizer()
    family = (FAMILIES | FOREIGN)[name]
    sizes = {
        "vocab_size": rows or len(tokenizer),
        "hidden_size": 4 * HEAD_DIM,
        "intermediate_size": 8 * HEAD_DIM,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    torch.manual_seed(seed)
    model = family.model(family.config(**{**sizes, **family.settings, **changes}))
    strengthen(model, seed)
    if name.startswith("gemma"):
        _let_layers_outweigh_the_embedding(model)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


@torch.no_grad()
def _let_layers_outweigh_the_embedding(model: PreTrainedModel) -> None:
    """Gemma scales its embedding up and every layer's part down, which hides from the logits what the layers did."""
    parameters = dict(model.named_parameters())
    scale: float = model.config.hidden_size**0.5
    parameters["model.embed_tokens.weight"].div_(scale)
    parameters["model.norm.weight"].add_(scale)
