"""Phi-3 and 3.5: fused projections, a rotation of part of each head, and two sets of rotary factors for long contexts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal

import gguf
import numpy as np
from pydantic import Field

from fragua_exporter.conversion.architectures import decoder
from fragua_exporter.conversion.architectures.config import (
    DecoderConfig,
    Positions,
    Positive,
    Rope,
    Size,
    parse_config,
    refuse,
)
from fragua_exporter.conversion.architectures.decoder import Part
from fragua_exporter.conversion.architectures.plan import ModelPlan


class LongRope(Rope):
    """`su` is the name that Phi-3 gave to `longrope` at first."""

    rope_type: Literal["default", "longrope", "su"] = "default"
    partial_rotary_factor: Annotated[float, Field(gt=0, le=1)] = 1.0
    factor: Positive | None = None
    attention_factor: Positive | None = None
    short_factor: tuple[Positive, ...] = ()
    long_factor: tuple[Positive, ...] = ()


class Phi3Config(DecoderConfig):
    rope_parameters: LongRope
    hidden_act: Literal["silu"] = "silu"
    attention_bias: Literal[False] = False
    original_max_position_embeddings: Positions = 4096
    sliding_window: Size | None = None

    @property
    def rotated(self) -> int:
        """How many rows of a head take part in the rotation."""
        return int(self.head_dim * self.rope_parameters.partial_rotary_factor)

    @property
    def scaled(self) -> bool:
        return self.rope_parameters.rope_type != "default"


def plan(document: Mapping[str, Any]) -> ModelPlan:
    config = parse_config(Phi3Config, document, "Phi-3")
    _check(config)
    hidden, ffn = config.hidden_size, config.intermediate_size
    layer = [
        *decoder.norms(config, "input_layernorm"),
        # Queries, keys and values stay one tensor, as gate and up do: llama.cpp splits them as transformers does.
        Part("self_attn.qkv_proj.weight", (config.query_rows + 2 * config.key_rows, hidden)),
        Part("self_attn.o_proj.weight", (hidden, config.query_rows)),
        *decoder.norms(config, "post_attention_layernorm"),
        Part("mlp.gate_up_proj.weight", (2 * ffn, hidden)),
        Part("mlp.down_proj.weight", (hidden, ffn)),
    ]
    return ModelPlan(
        gguf_architecture=gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.PHI3],
        vocabulary_size=config.vocab_size,
        context_length=_faithful_context(config),
        tensors=decoder.decoder_tensors(gguf.MODEL_ARCH.PHI3, config, layer),
        write_metadata=partial(_write_metadata, config),
        constants=_rope_factors(config),
        ignored=decoder.unused_tensors(config),
    )


def _check(config: Phi3Config) -> None:
    rope = config.rope_parameters
    if config.query_rows != config.hidden_size:
        raise refuse("Phi-3", ("head_dim", "llama.cpp needs heads that fill the hidden size exactly"))
    if config.rotated % 2 or config.rotated < 2:
        raise refuse("Phi-3", ("rope_parameters.partial_rotary_factor", "must rotate an even number of rows"))
    if config.scaled:
        wrong = [
            (f"rope_parameters.{name}", f"has {len(factors)} numbers, expected {config.rotated // 2}")
            for name, factors in (("short_factor", rope.short_factor), ("long_factor", rope.long_factor))
            if len(factors) != config.rotated // 2
        ]
        if wrong:
            raise refuse("Phi-3", *wrong)


def _faithful_context(config: Phi3Config) -> int:
    """How long a context llama.cpp computes as transformers does.

    It has no window for Phi-3, and it picks the short or long factors by the size of the context that was asked for,
    transformers by the length of the text: in a longer context short texts would be read with the long factors.
    """
    short = config.original_max_position_embeddings if config.scaled else config.max_position_embeddings
    return min(config.max_position_embeddings, short, config.sliding_window or config.max_position_embeddings)


def _rope_factors(config: Phi3Config) -> dict[str, np.ndarray]:
    if not config.scaled:
        return {}
    return {
        "rope_factors_long.weight": np.array(config.rope_parameters.long_factor, dtype=np.float32),
        "rope_factors_short.weight": np.array(config.rope_parameters.short_factor, dtype=np.float32),
    }


def _attention_factor(config: Phi3Config) -> float:
    rope, original = config.rope_parameters, config.original_max_position_embeddings
    if rope.attention_factor is not None:
        return rope.attention_factor
    stretch = rope.factor if rope.factor is not None else config.max_position_embeddings / original
    return math.sqrt(1 + math.log(stretch) / math.log(original)) if stretch > 1 else 1.0


def _write_metadata(config: Phi3Config, writer: gguf.GGUFWriter) -> None:
    decoder.write_sizes(config, config.rope_parameters.rope_theta, writer)
    writer.add_rope_dimension_count(config.rotated)
    writer.add_rope_scaling_orig_ctx_len(config.original_max_position_embeddings)
    # llama.cpp's loader wants the key, whose value it does not use.
    writer.add_sliding_window(config.sliding_window or 0)
    if config.scaled:
        writer.add_rope_scaling_attn_factors(_attention_factor(config))
