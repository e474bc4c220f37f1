"""Llama and Mistral: how their tensors, rotary embedding and sizes are written for llama.cpp."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import gguf
import numpy as np

from fragua_exporter.conversion.architectures import decoder
from fragua_exporter.conversion.architectures.config import (
    DecoderConfig,
    PlainRope,
    Positive,
    Rope,
    Size,
    parse_config,
    refuse,
)
from fragua_exporter.conversion.architectures.plan import ModelPlan


class Llama3Rope(Rope):
    """The four factors belong to the `llama3` type."""

    rope_type: Literal["default", "llama3"] = "default"
    partial_rotary_factor: Literal[1] = 1
    factor: Positive = 1.0
    low_freq_factor: Positive = 1.0
    high_freq_factor: Positive = 1.0
    original_max_position_embeddings: Size = 8192


class LlamaConfig(DecoderConfig):
    rope_parameters: Llama3Rope
    hidden_act: Literal["silu"] = "silu"
    attention_bias: Literal[False] = False
    mlp_bias: Literal[False] = False


class MistralConfig(DecoderConfig):
    rope_parameters: PlainRope
    hidden_act: Literal["silu"] = "silu"
    sliding_window: Size | None = None


def plan(document: Mapping[str, Any]) -> ModelPlan:
    config = parse_config(LlamaConfig, document, "Llama")
    rope = config.rope_parameters
    if rope.rope_type == "llama3" and rope.high_freq_factor <= rope.low_freq_factor:
        raise refuse("Llama", ("rope_parameters.high_freq_factor", "must be above low_freq_factor"))
    return _plan(
        config,
        rope.rope_theta,
        config.max_position_embeddings,
        {"rope_freqs.weight": llama3_rope_factors(config)} if rope.rope_type == "llama3" else {},
    )


def plan_mistral(document: Mapping[str, Any]) -> ModelPlan:
    config = parse_config(MistralConfig, document, "Mistral")
    # llama.cpp lets a Llama see everything. Up to the window both compute the same, beyond it another model.
    faithful = min(config.max_position_embeddings, config.sliding_window or config.max_position_embeddings)
    return _plan(config, config.rope_parameters.rope_theta, faithful, {})


def interleave_rotary_halves(heads: int, weight: np.ndarray) -> np.ndarray:
    """Reorder the rows of a query or key projection for llama.cpp's rotation.

    transformers rotates row i of a head together with row i + head_dim/2, llama.cpp rotates neighbouring rows. Without
    the reordering the file loads and speaks, but as another model.
    """
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def llama3_rope_factors(config: LlamaConfig) -> np.ndarray:
    """What llama.cpp divides each rotation frequency by: 1 for short waves, `factor` for long ones, a ramp between."""
    rope = config.rope_parameters
    exponents = np.arange(0, config.head_dim, 2, dtype=np.float64) / config.head_dim
    wavelengths = 2 * math.pi * rope.rope_theta**exponents
    share_kept = (rope.original_max_position_embeddings / wavelengths - rope.low_freq_factor) / (
        rope.high_freq_factor - rope.low_freq_factor
    )
    share_kept = np.clip(share_kept, 0.0, 1.0)
    return (1.0 / ((1 - share_kept) / rope.factor + share_kept)).astype(np.float32)


def _plan(
    config: DecoderConfig, rope_theta: float, context_length: int, constants: Mapping[str, np.ndarray]
) -> ModelPlan:
    layer = [
        *decoder.norms(config, "input_layernorm"),
        *decoder.attention(
            config,
            query_order=partial(interleave_rotary_halves, config.num_attention_heads),
            key_order=partial(interleave_rotary_halves, config.num_key_value_heads),
        ),
        *decoder.norms(config, "post_attention_layernorm"),
        *decoder.gated_mlp(config),
    ]
    return ModelPlan(
        gguf_architecture=gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.LLAMA],
        vocabulary_size=config.vocab_size,
        context_length=context_length,
        tensors=decoder.decoder_tensors(gguf.MODEL_ARCH.LLAMA, config, layer),
        write_metadata=partial(_write_metadata, config, rope_theta),
        constants=constants,
        ignored=decoder.unused_tensors(config),
    )


def _write_metadata(config: DecoderConfig, rope_theta: float, writer: gguf.GGUFWriter) -> None:
    decoder.write_sizes(config, rope_theta, writer)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
