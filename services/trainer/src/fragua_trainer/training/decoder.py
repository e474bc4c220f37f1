"""The forward pass of Llama-like models over packs, for CPUs: the same numbers as transformers and PEFT give, sooner.

It reads the parameters of a PEFT model and keeps none of its own, so whatever saves, restores or optimizes that model
needs to know nothing of this. Models that it does not know, or that train other weights than LoRA's, are left to
transformers: `packed_decoder` says why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from peft import PeftModel
from torch import nn
from torch.utils.checkpoint import checkpoint

from fragua_trainer.training.attention import attend
from fragua_trainer.training.batch import Example
from fragua_trainer.training.cross_entropy import summed_cross_entropy
from fragua_trainer.training.elementwise import gate, normalize, rotate
from fragua_trainer.training.packing import Pack
from fragua_trainer.training.products import Library, Products, faster_library
from fragua_trainer.training.projection import join

ARCHITECTURES = frozenset({"llama", "mistral", "qwen2", "qwen3", "phi3"})
"""Model types of this very structure: RMS norms before attention and feed-forward, rotary positions, SwiGLU."""
ROTARY_TYPES = frozenset({"default", "linear", "llama3", "yarn"})
"""Whose angles depend on the position alone, and not on how long the sequence has become."""


class PackedDecoder:
    def __init__(self, model: PeftModel) -> None:
        causal: Any = model.get_base_model()
        config = causal.config
        self._backbone: Any = causal.base_model
        self._head = causal.get_output_embeddings().weight
        self._model = model
        self.products = Products(faster_library(self._backbone.layers[0].mlp.down_proj.weight))
        self._layers = [_Layer(layer, config, self.products) for layer in self._backbone.layers]
        self._window = _attention_window(config)

    def takes(self, examples: Sequence[Example]) -> bool:
        """Whether attention reaches to the beginning of each; else it needs a mask that is not computed here."""
        return self._window is None or all(len(example.tokens) <= self._window for example in examples)

    def summed_loss(self, pack: Pack) -> torch.Tensor:
        """Cross-entropy summed over the supervised tokens of the pack."""
        training = self._model.training
        # Example by example, because noise on embeddings is measured by the length of the row that they come in.
        rows = pack.tokens.split([length for length in (pack.shared, *pack.lengths) if length])
        hidden = torch.cat([self._backbone.embed_tokens(row[None])[0] for row in rows])
        if self.products.library is Library.WIDENED:
            hidden = hidden.float()  # what is computed from it follows
        cosines, sines = self._backbone.rotary_emb(hidden, pack.positions[None])
        for layer in self._layers:
            # What comes after the last attention is needed only where something is predicted.
            needed = pack.predicting if layer is self._layers[-1] else None
            arguments = (hidden, cosines[0, :, None], sines[0, :, None], pack.shared, pack.lengths, needed, training)
            if training and self._backbone.gradient_checkpointing:
                hidden = checkpoint(layer, *arguments, use_reentrant=False)
            else:
                hidden = layer(*arguments)
        supervised = normalize(hidden, self._backbone.norm)
        return summed_cross_entropy(supervised, self._head, pack.targets, self.products)


class _Layer:
    def __init__(self, layer: Any, config: Any, products: Products) -> None:
        attention, feed_forward = layer.self_attn, layer.mlp
        self._layer = layer
        self._head_width = attention.head_dim
        self._scale = attention.scaling
        self._query_width = config.num_attention_heads * attention.head_dim
        self._key_width = config.num_key_value_heads * attention.head_dim
        self._query_key_value = join(_present(attention, "qkv_proj", "q_proj", "k_proj", "v_proj"), products)
        self._attended = join([attention.o_proj], products)
        self._gate_and_up = join(_present(feed_forward, "gate_up_proj", "gate_proj", "up_proj"), products)
        self._down = join([feed_forward.down_proj], products)
        self._query_norm = getattr(attention, "q_norm", None)
        self._key_norm = getattr(attention, "k_norm", None)

    def __call__(
        self,
        hidden: torch.Tensor,
        cosines: torch.Tensor,
        sines: torch.Tensor,
        shared: int,
        lengths: tuple[int, ...],
        needed: torch.Tensor | None,
        training: bool,
    ) -> torch.Tensor:
        """The hidden states of all tokens, or of those at the places `needed`."""
        normed = normalize(hidden, self._layer.input_layernorm)
        joined = self._query_key_value(normed, training)
        widths = (self._query_width, self._key_width, self._key_width)
        queries, keys, values = (part.unflatten(1, (-1, self._head_width)) for part in joined.split(widths, dim=1))
        if self._query_norm is not None and self._key_norm is not None:
            queries, keys = normalize(queries, self._query_norm), normalize(keys, self._key_norm)
        queries, keys = rotate(queries, cosines, sines), rotate(keys, cosines, sines)
        attended = attend(queries, keys, values, shared, lengths, self._scale).flatten(1)
        if needed is not None:
            hidden, attended = hidden.index_select(0, needed), attended.index_select(0, needed)
        hidden = hidden + self._attended(attended, training)
        normed = normalize(hidden, self._layer.post_attention_layernorm)
        return hidden + self._down(gate(self._gate_and_up(normed, training)), training)


def packed_decoder(model: PeftModel, device: torch.device) -> PackedDecoder | str:
    """The fast forward pass for this model, or why there is none."""
    causal: Any = model.get_base_model()
    config = causal.config
    if device.type != "cpu":
        return "it is made for CPUs"
    if config.model_type not in ARCHITECTURES:
        return f"it does not know models of type {config.model_type}"
    head = causal.get_output_embeddings()
    conditions: Sequence[tuple[Callable[[], bool], str]] = (
        (lambda: type(head) is nn.Linear and head.bias is None, "the output head is not a plain matrix"),
        (lambda: not head.weight.requires_grad, "the output head is trained"),
        (lambda: config.hidden_act == "silu", f"the activation is {config.hidden_act}, not silu"),
        (lambda: not config.attention_dropout, "the base has dropout in its attention"),
        (lambda: not getattr(config, "resid_pdrop", 0), "the base has dropout in its layers"),
        (lambda: _rotary_type(config) in ROTARY_TYPES, f"its rotary positions are of type {_rotary_type(config)}"),
        (lambda: _rotates_whole_heads(causal), "its rotary positions turn a part of each head"),
        (lambda: not _trained_beside_projections(causal), "weights beside the projections are trained"),
    )
    return next((reason for holds, reason in conditions if not holds()), None) or PackedDecoder(model)


def _present(module: Any, fused: str, *separate: str) -> list[nn.Module]:
    """Phi-3 has one layer where the others have several."""
    return [getattr(module, fused)] if hasattr(module, fused) else [getattr(module, name) for name in separate]


def _rotary_type(config: Any) -> str:
    return str((config.rope_parameters or {}).get("rope_type", "default"))


def _rotates_whole_heads(causal: Any) -> bool:
    backbone = causal.base_model
    return bool(2 * len(backbone.rotary_emb.inv_freq) == backbone.layers[0].self_attn.head_dim)


def _trained_beside_projections(causal: Any) -> bool:
    return any(
        parameter.requires_grad and "_proj." not in name for name, parameter in causal.base_model.named_parameters()
    )


def _attention_window(config: Any) -> int | None:
    """How far attention reaches back in some layer; `None` is everywhere to the beginning."""
    kinds = getattr(config, "layer_types", None)
    if kinds is not None and "sliding_attention" not in kinds:
        return None
    window: int | None = getattr(config, "sliding_window", None)
    return window
