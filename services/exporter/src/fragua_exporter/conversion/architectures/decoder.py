"""The parts that decoder families are put together from: which tensors a layer has and what every file says of itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import gguf

from fragua_exporter.conversion.architectures.config import DecoderConfig
from fragua_exporter.conversion.architectures.plan import TensorPlan, Transform, as_stored


@dataclass(frozen=True)
class Part:
    """A tensor that every layer has; its name goes behind `model.layers.<number>.`."""

    name: str
    shape: tuple[int, ...]
    transform: Transform = as_stored


def attention(
    config: DecoderConfig, query_order: Transform = as_stored, key_order: Transform = as_stored, *, bias: bool = False
) -> list[Part]:
    """Separate projections; `bias` as Qwen 2 has it: on queries, keys and values, not on the output."""
    inputs = (
        ("q_proj", config.query_rows, query_order),
        ("k_proj", config.key_rows, key_order),
        ("v_proj", config.key_rows, as_stored),
    )
    parts = [Part(f"self_attn.{name}.weight", (rows, config.hidden_size), order) for name, rows, order in inputs]
    if bias:
        parts += [Part(f"self_attn.{name}.bias", (rows,), order) for name, rows, order in inputs]
    return [*parts, Part("self_attn.o_proj.weight", (config.hidden_size, config.query_rows))]


def gated_mlp(config: DecoderConfig) -> list[Part]:
    hidden, ffn = config.hidden_size, config.intermediate_size
    return [
        Part("mlp.gate_proj.weight", (ffn, hidden)),
        Part("mlp.up_proj.weight", (ffn, hidden)),
        Part("mlp.down_proj.weight", (hidden, ffn)),
    ]


def norms(config: DecoderConfig, *names: str, transform: Transform = as_stored) -> list[Part]:
    return [Part(f"{name}.weight", (config.hidden_size,), transform) for name in names]


def decoder_tensors(
    architecture: gguf.MODEL_ARCH, config: DecoderConfig, layer: Iterable[Part], norm: Transform = as_stored
) -> tuple[TensorPlan, ...]:
    """Embedding, layers, last norm and, unless it is tied, the head, under the names of gguf's own table."""
    names = gguf.get_tensor_name_map(architecture, config.num_hidden_layers)

    def tensor(source: str, shape: tuple[int, ...], transform: Transform = as_stored) -> TensorPlan:
        target = names.get_name(source, try_suffixes=(".weight", ".bias"))
        assert target is not None, source
        return TensorPlan(source, target, shape, transform)

    parts = tuple(layer)
    tensors = [tensor("model.embed_tokens.weight", (config.vocab_size, config.hidden_size))]
    for number in range(config.num_hidden_layers):
        tensors += [tensor(f"model.layers.{number}.{part.name}", part.shape, part.transform) for part in parts]
    tensors.append(tensor("model.norm.weight", (config.hidden_size,), norm))
    if not config.tie_word_embeddings:
        tensors.append(tensor("lm_head.weight", (config.vocab_size, config.hidden_size)))
    return tuple(tensors)


def unused_tensors(config: DecoderConfig) -> frozenset[str]:
    """Some checkpoints of tied models repeat the embedding under the head's name; transformers ignores it as well."""
    return frozenset({"lm_head.weight"}) if config.tie_word_embeddings else frozenset()


def write_sizes(config: DecoderConfig, rope_theta: float, writer: gguf.GGUFWriter) -> None:
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(rope_theta)
