"""Llama: how its tensors, rotary embedding and sizes are written for llama.cpp."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal

import gguf
import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fragua_exporter.conversion.architectures.plan import ModelPlan, TensorPlan, as_stored
from fragua_exporter.domain.export_spec import violations_of
from fragua_platform.errors import InvalidInput

Size = Annotated[int, Field(ge=1, le=1_048_576)]


class RopeParameters(BaseModel):
    """Rotary embedding; the four factors belong to the `llama3` type."""

    model_config = ConfigDict(frozen=True)

    rope_theta: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 10_000.0
    rope_type: Literal["default", "llama3"] = "default"
    partial_rotary_factor: Literal[1] = 1
    factor: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    low_freq_factor: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    high_freq_factor: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    original_max_position_embeddings: Size = 8192


class LlamaConfig(BaseModel):
    """The part of config.json that decides what the network computes; values that we do not write are refused."""

    model_config = ConfigDict(frozen=True)

    vocab_size: Size
    hidden_size: Size
    intermediate_size: Size
    num_hidden_layers: Annotated[int, Field(ge=1, le=1024)]
    num_attention_heads: Size
    num_key_value_heads: Size
    head_dim: Annotated[int, Field(ge=2, multiple_of=2, le=65_536)]
    max_position_embeddings: Annotated[int, Field(ge=1, le=2**31 - 1)]
    rms_norm_eps: Annotated[float, Field(ge=0, le=1)]
    tie_word_embeddings: bool = False
    rope_parameters: RopeParameters
    hidden_act: Literal["silu"] = "silu"
    attention_bias: Literal[False] = False
    mlp_bias: Literal[False] = False


def plan(document: Mapping[str, Any]) -> ModelPlan:
    config = _parse(document)
    rope = config.rope_parameters
    return ModelPlan(
        gguf_architecture=gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.LLAMA],
        vocabulary_size=config.vocab_size,
        context_length=config.max_position_embeddings,
        tensors=_tensors(config),
        write_metadata=partial(_write_metadata, config),
        constants={"rope_freqs.weight": llama3_rope_factors(config)} if rope.rope_type == "llama3" else {},
        # Some checkpoints of tied models repeat the embedding under the head's name; transformers ignores it as well.
        ignored=frozenset({"lm_head.weight"}) if config.tie_word_embeddings else frozenset(),
    )


def interleave_rotary_halves(heads: int, weight: torch.Tensor) -> torch.Tensor:
    """Reorder the rows of a query or key projection for llama.cpp's rotation.

    transformers rotates row i of a head together with row i + head_dim/2, llama.cpp rotates neighbouring rows. Without
    the reordering the file loads and speaks, but as another model.
    """
    rows, columns = weight.shape
    return weight.view(heads, 2, rows // heads // 2, columns).transpose(1, 2).reshape(rows, columns)


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


def _parse(document: Mapping[str, Any]) -> LlamaConfig:
    # Before transformers 5 the rotary settings lay apart: rope_theta beside rope_scaling, whose type was once `type`.
    scaling = document.get("rope_scaling") or {}
    former = {"rope_theta": document.get("rope_theta"), "rope_type": scaling.get("type"), **scaling}
    rope = document.get("rope_parameters") or {name: value for name, value in former.items() if value is not None}
    heads = document.get("num_attention_heads")
    hidden = document.get("hidden_size")
    derived: dict[str, Any] = {"rope_parameters": rope}
    if document.get("num_key_value_heads") is None:
        derived["num_key_value_heads"] = heads
    if document.get("head_dim") is None and isinstance(hidden, int) and isinstance(heads, int) and heads > 0:
        derived["head_dim"] = hidden // heads
    try:
        config = LlamaConfig.model_validate({**document, **derived})
    except ValidationError as invalid:
        raise InvalidInput(
            "base model: config.json asks for what this converter does not write; use a plain Llama base",
            violations=violations_of(invalid, "config.json"),
            reason="UNSUPPORTED_ARCHITECTURE",
        ) from invalid
    if config.rope_parameters.rope_type == "llama3" and (
        config.rope_parameters.high_freq_factor <= config.rope_parameters.low_freq_factor
    ):
        raise InvalidInput("base model: config.json: rope high_freq_factor must be above low_freq_factor")
    return config


def _tensors(config: LlamaConfig) -> tuple[TensorPlan, ...]:
    hidden, ffn = config.hidden_size, config.intermediate_size
    queries = config.num_attention_heads * config.head_dim
    keys = config.num_key_value_heads * config.head_dim
    query_order = partial(interleave_rotary_halves, config.num_attention_heads)
    key_order = partial(interleave_rotary_halves, config.num_key_value_heads)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)

    def tensor(source: str, *shape: int, transform: Any = as_stored) -> TensorPlan:
        target = names.get_name(source, try_suffixes=(".weight",))
        assert target is not None, source
        return TensorPlan(source, target, shape, transform)

    tensors = [tensor("model.embed_tokens.weight", config.vocab_size, hidden)]
    for layer in range(config.num_hidden_layers):
        prefix = f"model.layers.{layer}"
        tensors += [
            tensor(f"{prefix}.input_layernorm.weight", hidden),
            tensor(f"{prefix}.self_attn.q_proj.weight", queries, hidden, transform=query_order),
            tensor(f"{prefix}.self_attn.k_proj.weight", keys, hidden, transform=key_order),
            tensor(f"{prefix}.self_attn.v_proj.weight", keys, hidden),
            tensor(f"{prefix}.self_attn.o_proj.weight", hidden, queries),
            tensor(f"{prefix}.post_attention_layernorm.weight", hidden),
            tensor(f"{prefix}.mlp.gate_proj.weight", ffn, hidden),
            tensor(f"{prefix}.mlp.up_proj.weight", ffn, hidden),
            tensor(f"{prefix}.mlp.down_proj.weight", hidden, ffn),
        ]
    tensors.append(tensor("model.norm.weight", hidden))
    if not config.tie_word_embeddings:
        tensors.append(tensor("lm_head.weight", config.vocab_size, hidden))
    return tuple(tensors)


def _write_metadata(config: LlamaConfig, writer: gguf.GGUFWriter) -> None:
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters.rope_theta)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
