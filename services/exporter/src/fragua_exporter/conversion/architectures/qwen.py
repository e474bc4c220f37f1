"""Qwen 2, 2.5 and 3: like Llama without its order of rows; 2 has biases, 3 norms on each query and key head."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import gguf

from fragua_exporter.conversion.architectures import decoder
from fragua_exporter.conversion.architectures.config import DecoderConfig, PlainRope, parse_config, refuse
from fragua_exporter.conversion.architectures.decoder import Part
from fragua_exporter.conversion.architectures.plan import ModelPlan


class QwenConfig(DecoderConfig):
    rope_parameters: PlainRope
    hidden_act: Literal["silu"] = "silu"
    attention_bias: Literal[False] = False
    # llama.cpp has no window for Qwen; a released Qwen carries one in its settings, switched off.
    use_sliding_window: Literal[False] = False
    layer_types: tuple[Literal["full_attention"], ...] | None = None


def plan_qwen2(document: Mapping[str, Any]) -> ModelPlan:
    config = parse_config(QwenConfig, document, "Qwen 2")
    if config.query_rows != config.hidden_size:
        raise refuse("Qwen 2", ("head_dim", "llama.cpp needs heads that fill the hidden size exactly"))
    return _plan(gguf.MODEL_ARCH.QWEN2, config, decoder.attention(config, bias=True))


def plan_qwen3(document: Mapping[str, Any]) -> ModelPlan:
    config = parse_config(QwenConfig, document, "Qwen 3")
    head_norms = [Part(f"self_attn.{name}.weight", (config.head_dim,)) for name in ("q_norm", "k_norm")]
    return _plan(gguf.MODEL_ARCH.QWEN3, config, [*decoder.attention(config), *head_norms])


def _plan(architecture: gguf.MODEL_ARCH, config: QwenConfig, attention: list[Part]) -> ModelPlan:
    layer = [
        *decoder.norms(config, "input_layernorm"),
        *attention,
        *decoder.norms(config, "post_attention_layernorm"),
        *decoder.gated_mlp(config),
    ]
    return ModelPlan(
        gguf_architecture=gguf.MODEL_ARCH_NAMES[architecture],
        vocabulary_size=config.vocab_size,
        context_length=config.max_position_embeddings,
        tensors=decoder.decoder_tensors(architecture, config, layer),
        write_metadata=partial(decoder.write_sizes, config, config.rope_parameters.rope_theta),
        ignored=decoder.unused_tensors(config),
    )
