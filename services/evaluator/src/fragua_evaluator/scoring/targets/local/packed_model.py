"""Runs texts side by side through a model in one row, and reads logits only where somebody needs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from fragua_evaluator.scoring.targets.local.packed_attention import IMPLEMENTATION, PackedStep

PROVEN_ARCHITECTURES = frozenset({"llama", "mistral", "qwen2", "qwen3", "phi3", "gemma2", "gemma3_text"})
"""Those for which a test shows that packed texts get the logits that transformers gives to each of them alone."""

_LOGITS_BYTES = 64 * 2**20
"""Logits of a large vocabulary are the widest tensor of all; so much of them is held at a time."""


class StopRequestedError(Exception):
    """The evaluation was asked to stop in the middle of a step."""


def can_pack(config: Any) -> bool:
    return config.model_type in PROVEN_ARCHITECTURES


def longest_packed_text(config: Any) -> int | None:
    """None: any. With LongRoPE the longest text of a call decides how all of its texts are rotated, so texts that
    reach beyond the original context must not stand beside others."""
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") != "longrope":
        return None
    return int(rope.get("original_max_position_embeddings") or config.original_max_position_embeddings)


class PackedModel:
    """`speaker` gives the loaded model with the right adapter on; it is asked before every call, because arms share it."""

    def __init__(self, speaker: Callable[[], PreTrainedModel]) -> None:
        self._speaker = speaker

    @torch.inference_mode()
    def hidden(self, tokens: Sequence[int], step: PackedStep) -> torch.Tensor:
        """The last hidden states, [tokens, width]."""
        model = self._speaker()
        device = model.device
        own_attention = model.config._attn_implementation
        model.config._attn_implementation = IMPLEMENTATION
        try:
            output = model.get_decoder()(
                input_ids=torch.tensor([tokens], device=device),
                position_ids=torch.tensor([step.positions()], device=device),
                use_cache=False,
                packed=step,
            )
        finally:
            model.config._attn_implementation = own_attention
        states: torch.Tensor = output.last_hidden_state[0]
        return states

    @torch.inference_mode()
    def logits(self, states: torch.Tensor) -> torch.Tensor:
        model = self._speaker()
        logits: torch.Tensor = model.get_output_embeddings()(states)
        cap = getattr(model.config, "final_logit_softcapping", None)
        if cap is not None:
            logits = torch.tanh(logits / cap) * cap
        return logits.float()

    @torch.inference_mode()
    def log_likelihoods(self, states: torch.Tensor, targets: Sequence[int]) -> list[float]:
        """Of each target after the state at its place."""
        rows = max(1, _LOGITS_BYTES // (4 * self._speaker().config.vocab_size))
        wanted = torch.tensor(targets, device=states.device)
        likelihoods: list[float] = []
        for part, ids in zip(states.split(rows), wanted.split(rows), strict=True):
            logits = self.logits(part)
            likelihoods += (logits.gather(1, ids[:, None])[:, 0] - logits.logsumexp(-1)).tolist()
        return likelihoods
