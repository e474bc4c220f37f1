"""Causal attention inside each example of a pack, and never across."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any

import torch
from torch.nn import functional

PRODUCTS_UP_TO = 1024
"""The longest example, in tokens, whose attention is computed as batched products that keep the probabilities. For 300
tokens in bf16 they take 2.8 ms where PyTorch's blockwise kernel takes 8.2, and still half of its time for 1,000; but
what they keep grows with the square of the length."""
BLOCK = 128
"""Queries that are multiplied at once: keys later than theirs are skipped, at a cost per block."""


def attend(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    shared: int,
    lengths: tuple[int, ...],
    scale: float,
) -> torch.Tensor:
    """Attention output per token and head, from tensors [token, head, channel]; keys may have fewer heads.

    The first `shared` tokens belong to every example, whose other tokens follow in `lengths`.
    """
    shared_queries, *own_queries = queries.split((shared, *lengths))
    shared_keys, *own_keys = keys.split((shared, *lengths))
    shared_values, *own_values = values.split((shared, *lengths))
    outputs = [_attend_within(shared_queries, shared_keys, shared_values, scale)] if shared else []
    for query, key, value in zip(own_queries, own_keys, own_values, strict=True):
        if shared:
            key, value = torch.cat((shared_keys, key)), torch.cat((shared_values, value))
        outputs.append(_attend_within(query, key, value, scale))
    return torch.cat(outputs)


def _attend_within(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> torch.Tensor:
    """Of one example. With fewer queries than keys, the queries are those of the last tokens."""
    if len(key) <= PRODUCTS_UP_TO:
        attended: torch.Tensor = _ProductAttention.apply(query, key, value, scale)
        return attended
    whole = len(query) == len(key)
    seen = None if whole else torch.ones(len(query), len(key), dtype=torch.bool).tril_(len(key) - len(query))
    query, key, value = (tensor.transpose(0, 1).unsqueeze(0) for tensor in (query, key, value))
    output = functional.scaled_dot_product_attention(
        query, key, value, attn_mask=seen, is_causal=whole, scale=scale, enable_gqa=True
    )
    return output.squeeze(0).transpose(0, 1)


class _ProductAttention(torch.autograd.Function):
    """Heads that share keys are one product: their queries lie below each other."""

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> torch.Tensor:
        length, heads, width = query.shape
        shared = heads // key.shape[1]
        # [key head, query heads that share it, token, channel]
        grouped = (query * scale).view(length, -1, shared, width).permute(1, 2, 0, 3).contiguous()
        key, value = key.transpose(0, 1).contiguous(), value.transpose(0, 1).contiguous()
        output = torch.empty_like(grouped)
        probabilities = []
        before = key.shape[1] - length
        for start, end in _blocks(length):
            seen = before + end
            scores = torch.bmm(grouped[:, :, start:end].flatten(1, 2), key[:, :seen].transpose(1, 2))
            scores = scores.view(len(key), shared, end - start, seen)
            scores[..., before + start :].add_(_later(end - start, scores.dtype))
            some = torch.softmax(scores, dim=-1)
            output[:, :, start:end] = torch.bmm(some.flatten(1, 2), value[:, :seen]).view(output[:, :, start:end].shape)
            probabilities.append(some)
        ctx.save_for_backward(grouped, key, value, *probabilities)
        ctx.scale = scale
        return output.permute(2, 0, 1, 3).reshape(length, heads, width)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        grouped, key, value, *probabilities = ctx.saved_tensors
        key_heads, shared, length, width = grouped.shape
        arriving = gradients[0].view(length, key_heads, shared, width).permute(1, 2, 0, 3).contiguous()
        to_query, to_key, to_value = torch.empty_like(grouped), torch.zeros_like(key), torch.zeros_like(value)
        for (start, end), some in zip(_blocks(length), probabilities, strict=True):
            seen = key.shape[1] - length + end
            arrived = arriving[:, :, start:end].flatten(1, 2)
            weights = some.flatten(1, 2)
            to_value[:, :seen].baddbmm_(weights.transpose(1, 2), arrived)
            to_weights = torch.bmm(arrived, value[:, :seen].transpose(1, 2))
            to_scores = torch._softmax_backward_data(to_weights, weights, -1, weights.dtype)
            to_query[:, :, start:end] = torch.bmm(to_scores, key[:, :seen]).view(key_heads, shared, -1, width)
            to_key[:, :seen].baddbmm_(to_scores.transpose(1, 2), grouped[:, :, start:end].flatten(1, 2))
        to_query = (to_query * ctx.scale).permute(2, 0, 1, 3).reshape(length, key_heads * shared, width)
        return to_query, to_key.transpose(0, 1), to_value.transpose(0, 1), None


def _blocks(length: int) -> list[tuple[int, int]]:
    count = -(-length // BLOCK)
    return list(pairwise(length * edge // count for edge in range(count + 1)))


@lru_cache(maxsize=4 * BLOCK)
def _later(size: int, dtype: torch.dtype) -> torch.Tensor:
    """Added to scores: minus infinity wherever a key comes after the query."""
    return torch.full((size, size), float("-inf"), dtype=dtype).triu_(1)
