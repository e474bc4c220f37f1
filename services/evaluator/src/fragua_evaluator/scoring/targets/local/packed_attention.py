"""Attention over tokens of several texts that stand in one row, without padding, as a part of transformers' own models.

Everything else in a transformer treats each token by itself, so a model's own code computes it for texts side by side as
it does for one. Only attention has to know which tokens belong together. transformers lets a model's attention be
replaced by name; this module is that replacement. A `PackedStep` travels with the call and says what belongs together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import torch
from torch.nn import functional
from transformers import AttentionInterface

IMPLEMENTATION = "fragua-packed"

_ROWS_AT_ONCE = 512
"""Scores of so many tokens against all before them are held at a time, which bounds the memory of a long prompt."""

_CLEARED_AHEAD = 64


@dataclass(frozen=True)
class Rule:
    """How one layer attends."""

    scale: float
    softcap: float | None
    window: int | None
    """A token sees so many, itself included; None: all."""


@dataclass(frozen=True)
class Span:
    """A text: its trunk, and branches that each go on from the trunk's end and do not see one another."""

    start: int
    """In the row."""
    trunk: int
    branches: tuple[int, ...] = ()
    """Lengths."""
    slot: int | None = None
    """Where its keys and values are kept for the tokens that follow."""

    @property
    def length(self) -> int:
        return self.trunk + sum(self.branches)


class KeyValues:
    """Keys and values of the texts that are being continued; those of one text fill one slot of every layer."""

    def __init__(self, slots: int, room: int) -> None:
        self.slots = slots
        self.room = room
        """Tokens per slot."""
        self._keys: dict[int, torch.Tensor] = {}
        self._values: dict[int, torch.Tensor] = {}
        self._clear: dict[int, int] = {}
        """Tokens up to which a layer's slots hold numbers; beyond, there is whatever the memory held before."""

    def of_layer(self, layer: int, like: torch.Tensor, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values to write and read so many tokens of; `like` is what the layer gives, [1, heads, …, width]."""
        if layer not in self._keys:
            shape = (self.slots, like.shape[1], self.room, like.shape[3])
            # On a CPU, pages that nobody has written to take no memory.
            self._keys[layer], self._values[layer] = like.new_empty(shape), like.new_empty(shape)
            self._clear[layer] = 0
        keys, values = self._keys[layer], self._values[layer]
        clear = self._clear[layer]
        if tokens > clear:
            # A short text is read as far as the longest, and what is masked still must be a number: 0 times NaN is NaN.
            self._clear[layer] = min(self.room, tokens + _CLEARED_AHEAD)
            for kept in (keys, values):
                kept[:, :, clear : self._clear[layer]] = 0
        return keys, values

    @torch.inference_mode()
    def move(self, source: int, target: int, length: int) -> None:
        for kept in (*self._keys.values(), *self._values.values()):
            kept[target, :, :length] = kept[source, :, :length]


@dataclass
class PackedStep:
    """What the tokens of one row are: first one token for each text that is being continued, then whole new texts."""

    spans: tuple[Span, ...]
    continued: tuple[int, ...] = ()
    """Tokens that the slots 0, 1, … hold already; the row begins with the next token of each."""
    kept: KeyValues | None = None
    check_stop: Callable[[], None] = lambda: None
    """Called before every layer; what it raises ends the step."""
    _masks: dict[Any, torch.Tensor] = field(default_factory=dict, init=False)
    """Layers of one kind share them."""

    def positions(self) -> list[int]:
        positions = list(self.continued)
        for span in self.spans:
            positions += range(span.trunk)
            for branch in span.branches:
                positions += range(span.trunk, span.trunk + branch)
        return positions

    @cached_property
    def _longest(self) -> int:
        return max([*(held + 1 for held in self.continued), *(span.trunk for span in self.spans)])

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rule: Rule
    ) -> torch.Tensor:
        """All are [1, heads, tokens, width]; the result is [1, tokens, heads, width]."""
        self.check_stop()
        result = query.new_empty(1, query.shape[2], query.shape[1], value.shape[3])
        if self.continued:
            count = len(self.continued)
            result[0, :count] = self._continue(layer, query[0, :, :count], key, value, rule)
        for span in self.spans:
            self._keep(layer, span, key, value)
            self._attend_span(span, query, key, value, rule, result)
        return result

    def _keep(self, layer: int, span: Span, key: torch.Tensor, value: torch.Tensor) -> None:
        if self.kept is not None and span.slot is not None:
            keys, values = self.kept.of_layer(layer, key, self._longest)
            keys[span.slot, :, : span.trunk] = key[0, :, span.start : span.start + span.trunk]
            values[span.slot, :, : span.trunk] = value[0, :, span.start : span.start + span.trunk]

    def _continue(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rule: Rule
    ) -> torch.Tensor:
        """One token of each text against all that its slot holds, [texts, heads, width]."""
        assert self.kept is not None
        keys, values = self.kept.of_layer(layer, key, self._longest)
        count, longest = len(self.continued), max(self.continued) + 1
        lengths = torch.tensor(self.continued, device=query.device)
        texts = torch.arange(count, device=query.device)
        keys[texts, :, lengths] = key[0, :, :count].transpose(0, 1)
        values[texts, :, lengths] = value[0, :, :count].transpose(0, 1)
        mask = self._mask(("continue", rule.window), lambda: _continued_mask(lengths, longest, rule.window))
        # Heads that share keys stand where more tokens of the query would.
        grouped = query.transpose(0, 1).unflatten(1, (keys.shape[1], -1))
        attended = _attention(grouped, keys[:count, :, :longest], values[:count, :, :longest], mask, rule)
        return attended.flatten(1, 2)

    def _attend_span(
        self,
        span: Span,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        rule: Rule,
        result: torch.Tensor,
    ) -> None:
        start, end = span.start, span.start + span.length
        queries, keys, values = (part[:, :, start:end] for part in (query, key, value))
        for first, last, seen in _row_blocks(span, rule):
            mask = None
            if seen.needs_mask:
                make = partial(_span_mask, span, first, last, seen, rule, query.device)
                mask = self._mask((span.start, first, rule.window), make)
            block = _shared_attention(
                queries[:, :, first:last],
                keys[:, :, seen.first : seen.last],
                values[:, :, seen.first : seen.last],
                mask,
                rule,
            )
            result[:, start + first : start + last] = block.transpose(1, 2)

    def _mask(self, kind: Any, make: Callable[[], torch.Tensor]) -> torch.Tensor:
        if kind not in self._masks:
            self._masks[kind] = make()
        return self._masks[kind]


@dataclass(frozen=True)
class _Seen:
    """What a block of rows may look at."""

    first: int
    last: int
    needs_mask: bool
    """False: exactly what comes before, from the beginning."""


def _row_blocks(span: Span, rule: Rule) -> list[tuple[int, int, _Seen]]:
    """Rows [first, last) of a span, with the columns that any of them sees."""
    within = rule.window is None or span.trunk <= rule.window
    if within and rule.softcap is None:
        blocks = [(0, span.trunk, _Seen(0, span.trunk, needs_mask=False))]
    else:
        blocks = []
        for first in range(0, span.trunk, _ROWS_AT_ONCE):
            last = min(first + _ROWS_AT_ONCE, span.trunk)
            earliest = 0 if rule.window is None else max(0, first - rule.window + 1)
            blocks.append((first, last, _Seen(earliest, last, needs_mask=True)))
    for first in range(span.trunk, span.length, _ROWS_AT_ONCE):
        last = min(first + _ROWS_AT_ONCE, span.length)
        blocks.append((first, last, _Seen(0, last, needs_mask=True)))
    return blocks


def _span_mask(span: Span, first: int, last: int, seen: _Seen, rule: Rule, device: torch.device) -> torch.Tensor:
    positions, branches = list(range(span.trunk)), [0] * span.trunk
    for number, branch in enumerate(span.branches, start=1):
        positions += range(span.trunk, span.trunk + branch)
        branches += [number] * branch
    position = torch.tensor(positions, device=device)
    branch_of = torch.tensor(branches, device=device)
    distance = position[first:last, None] - position[None, seen.first : seen.last]
    columns = branch_of[None, seen.first : seen.last]
    allowed = (distance >= 0) & ((columns == 0) | (columns == branch_of[first:last, None]))
    if rule.window is not None:
        allowed &= distance < rule.window
    return allowed[None, None]


def _continued_mask(lengths: torch.Tensor, longest: int, window: int | None) -> torch.Tensor:
    distance = lengths[:, None] - torch.arange(longest, device=lengths.device)[None]
    allowed = distance >= 0
    if window is not None:
        allowed &= distance < window
    return allowed[:, None, None]


def _shared_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, rule: Rule
) -> torch.Tensor:
    """Several heads of the query to each of the keys."""
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    return _attention(query, key, value, mask, rule)


def _attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, rule: Rule
) -> torch.Tensor:
    """Without a mask each token sees those before it."""
    if rule.softcap is None:
        return functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=mask is None, scale=rule.scale
        )
    assert mask is not None
    scores = torch.tanh((query @ key.transpose(2, 3)) * rule.scale / rule.softcap) * rule.softcap
    weights = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(-1, dtype=torch.float32)
    return weights.to(query.dtype) @ value


def _attend_packed(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    packed: PackedStep,
    scaling: float | None = None,
    softcap: float | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """What transformers calls in every layer."""
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return packed.attend(module.layer_idx, query, key, value, Rule(scale, softcap, sliding_window)), None


AttentionInterface.register(IMPLEMENTATION, _attend_packed)
