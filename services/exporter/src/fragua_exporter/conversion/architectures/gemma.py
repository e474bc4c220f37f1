"""Gemma 2 and the text models of Gemma 3: norms around every block, soft-capped logits, windows in most layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import gguf
import numpy as np
from pydantic import BaseModel, ConfigDict

from fragua_exporter.conversion.architectures import decoder
from fragua_exporter.conversion.architectures.config import (
    DecoderConfig,
    PlainRope,
    Positive,
    Rope,
    Size,
    parse_config,
    refuse,
    rope_of,
)
from fragua_exporter.conversion.architectures.decoder import Part
from fragua_exporter.conversion.architectures.plan import ModelPlan


class GlobalRope(Rope):
    rope_theta: Positive = 1_000_000.0
    rope_type: Literal["default", "linear"] = "default"
    partial_rotary_factor: Literal[1] = 1
    factor: Positive = 1.0


class RopeByLayerType(BaseModel):
    """Gemma 3 rotates by far longer waves in the layers that see everything."""

    model_config = ConfigDict(frozen=True)

    full_attention: GlobalRope
    sliding_attention: PlainRope


class GemmaConfig(DecoderConfig):
    tie_word_embeddings: Literal[True] = True
    hidden_activation: Literal["gelu_pytorch_tanh"] = "gelu_pytorch_tanh"
    attention_bias: Literal[False] = False
    use_bidirectional_attention: Literal[False] | None = None
    query_pre_attn_scalar: Positive
    sliding_window: Size
    layer_types: tuple[Literal["full_attention", "sliding_attention"], ...] | None = None


class Gemma2Config(GemmaConfig):
    rope_parameters: PlainRope
    attn_logit_softcapping: Positive
    final_logit_softcapping: Positive


class Gemma3Config(GemmaConfig):
    rope_parameters: RopeByLayerType
    attn_logit_softcapping: None = None
    final_logit_softcapping: Positive | None = None
    sliding_window_pattern: Size = 6


def plan_gemma2(document: Mapping[str, Any]) -> ModelPlan:
    config = parse_config(Gemma2Config, _with_defaults(document), "Gemma 2")
    _check_scale(config, "Gemma 2", layers_of_the_largest=46)
    return _plan(gguf.MODEL_ARCH.GEMMA2, config, decoder.attention(config), partial(_write_gemma2, config))


def plan_gemma3(document: Mapping[str, Any]) -> ModelPlan:
    rope = {"rope_parameters": _gemma3_rope(document)}
    config = parse_config(Gemma3Config, _with_defaults(document) | rope, "Gemma 3")
    _check_scale(config, "Gemma 3", layers_of_the_largest=62)
    head_norms = [Part(f"self_attn.{name}.weight", (config.head_dim,), plus_one) for name in ("q_norm", "k_norm")]
    attention = [*decoder.attention(config), *head_norms]
    return _plan(gguf.MODEL_ARCH.GEMMA3, config, attention, partial(_write_gemma3, config))


def plus_one(weight: np.ndarray) -> np.ndarray:
    """Gemma multiplies by 1 + weight where llama.cpp, as for every model, multiplies by the weight."""
    return weight + 1


def _with_defaults(document: Mapping[str, Any]) -> dict[str, Any]:
    # transformers leaves out of config.json what is the default of the class.
    return {"tie_word_embeddings": True, "head_dim": 256, **document}


def _gemma3_rope(document: Mapping[str, Any]) -> Any:
    rope = rope_of(document)
    if not isinstance(rope, dict) or "full_attention" in rope:
        return rope
    # Before transformers 5 the waves of the layers with a window lay apart, and scaling was for the others alone.
    local = document.get("rope_local_base_freq")
    return {"full_attention": rope, "sliding_attention": {} if local is None else {"rope_theta": local}}


def _check_scale(config: GemmaConfig, family: str, layers_of_the_largest: int) -> None:
    """llama.cpp derives the scale of the attention scores from the sizes and gives files no say in it."""
    largest = config.num_hidden_layers == layers_of_the_largest
    scalar = config.hidden_size // config.num_attention_heads if largest else config.head_dim
    if config.query_pre_attn_scalar != scalar:
        raise refuse(family, ("query_pre_attn_scalar", f"llama.cpp computes with {scalar} for these sizes"))


def _plan(
    architecture: gguf.MODEL_ARCH,
    config: GemmaConfig,
    attention: list[Part],
    write_metadata: Callable[[gguf.GGUFWriter], None],
) -> ModelPlan:
    layer = [
        *decoder.norms(config, "input_layernorm", "post_attention_layernorm", transform=plus_one),
        *attention,
        *decoder.norms(config, "pre_feedforward_layernorm", "post_feedforward_layernorm", transform=plus_one),
        *decoder.gated_mlp(config),
    ]
    return ModelPlan(
        gguf_architecture=gguf.MODEL_ARCH_NAMES[architecture],
        vocabulary_size=config.vocab_size,
        context_length=config.max_position_embeddings,
        tensors=decoder.decoder_tensors(architecture, config, layer, norm=plus_one),
        write_metadata=write_metadata,
        ignored=decoder.unused_tensors(config),
    )


def _write_gemma2(config: Gemma2Config, writer: gguf.GGUFWriter) -> None:
    decoder.write_sizes(config, config.rope_parameters.rope_theta, writer)
    writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
    writer.add_final_logit_softcapping(config.final_logit_softcapping)
    _write_windows(config, 2, 2, writer)


def _write_gemma3(config: Gemma3Config, writer: gguf.GGUFWriter) -> None:
    everywhere, local = config.rope_parameters.full_attention, config.rope_parameters.sliding_attention
    decoder.write_sizes(config, everywhere.rope_theta, writer)
    writer.add_rope_freq_base_swa(local.rope_theta)
    if everywhere.rope_type == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(everywhere.factor)
    if config.final_logit_softcapping is not None:
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    _write_windows(config, config.sliding_window_pattern, 6, writer)


def _write_windows(config: GemmaConfig, every: int, usual: int, writer: gguf.GGUFWriter) -> None:
    """Every `usual`-th layer sees everything unless the file says which."""
    writer.add_sliding_window(config.sliding_window)
    numbers = range(1, config.num_hidden_layers + 1)
    windows = [bool(number % every) for number in numbers]
    if config.layer_types is not None:
        windows = [kind == "sliding_attention" for kind in config.layer_types]
    if windows != [bool(number % usual) for number in numbers]:
        writer.add_sliding_window_pattern(windows)
