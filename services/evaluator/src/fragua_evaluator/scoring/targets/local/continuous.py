"""Answers questions by continuous batching: when one answer ends, the next question takes its place in the batch."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from fragua_evaluator.scoring.targets.local.packed_attention import KeyValues, PackedStep, Span
from fragua_evaluator.scoring.targets.local.packed_model import PackedModel, StopRequestedError
from fragua_evaluator.scoring.targets.local.sampling import Sampler, choose_tokens
from fragua_evaluator.scoring.targets.port import StopRequested

MAX_SLOTS = 32
"""Answers that are written at a time. With more, products grow as much as the work does, and nothing is gained."""
KEY_VALUE_BYTES = 512 * 2**20
"""What keys and values may take; long contexts get fewer slots."""
_NEW_TOKENS_AT_ONCE = 1_024
"""Tokens of new questions in one step; more would let the answers in progress wait."""


@dataclass(frozen=True)
class Prompt:
    key: str
    tokens: tuple[int, ...]
    max_new_tokens: int
    sampler: Sampler | None

    @property
    def room(self) -> int:
        # The last token is never looked back at.
        return len(self.tokens) + self.max_new_tokens - 1


@dataclass
class Written:
    """An answer in progress, and at the end."""

    prompt: Prompt
    tokens: list[int] = field(default_factory=list)
    ended: bool = False
    """The last token ends the turn."""
    broken: bool = False
    """The model computed no number, so there is no next token."""
    seconds: float = 0.0
    first_token_seconds: float = 0.0

    @property
    def is_complete(self) -> bool:
        return self.ended or self.broken or len(self.tokens) == self.prompt.max_new_tokens


def slots_for(room: int, config: Any, bytes_per_number: int) -> int:
    """How many texts of so many tokens may be continued at a time."""
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    per_token = 2 * config.num_hidden_layers * config.num_key_value_heads * width * bytes_per_number
    return max(1, min(MAX_SLOTS, KEY_VALUE_BYTES // (per_token * room)))


def write_answers(
    model: PackedModel,
    prompts: Sequence[Prompt],
    stop_ids: Sequence[int],
    slots_of: Callable[[int], int],
    stop_requested: StopRequested,
) -> Iterator[Written]:
    """Answers as they end; fewer than there are prompts when a stop was requested.

    Those that need much room go first: memory runs out early or never, and the last steps have short answers to write.
    """
    waiting = sorted(prompts, key=lambda prompt: -prompt.room)
    while waiting:
        slots = slots_of(waiting[0].room)
        # Where the longest takes up so much that few fit, those of half its length and less get slots of their own size.
        alike = len(waiting) if slots >= MAX_SLOTS else sum(2 * p.room > waiting[0].room for p in waiting)
        batch = _Batch(model, deque(waiting[:alike]), frozenset(stop_ids), slots, stop_requested)
        yield from batch.run()
        if batch.was_stopped:
            return
        waiting = waiting[alike:]


class _Batch:
    def __init__(
        self,
        model: PackedModel,
        waiting: deque[Prompt],
        stop_ids: frozenset[int],
        slots: int,
        stop_requested: StopRequested,
    ) -> None:
        self._model = model
        self._waiting = waiting
        self._stop_ids = stop_ids
        self._kept = KeyValues(min(slots, len(waiting)), waiting[0].room)
        self._stop_requested = stop_requested
        self._active: list[Written] = []
        """Each in the slot of its place."""
        self.was_stopped = False

    def run(self) -> Iterator[Written]:
        while self._waiting or self._active:
            try:
                self._step(self._admit())
            except StopRequestedError:
                self.was_stopped = True
                return
            yield from self._take_complete()

    def _admit(self) -> list[Written]:
        admitted: list[Written] = []
        tokens = 0
        while self._waiting and len(self._active) + len(admitted) < self._kept.slots:
            tokens += len(self._waiting[0].tokens)
            if admitted and tokens > _NEW_TOKENS_AT_ONCE:
                break
            admitted.append(Written(self._waiting.popleft()))
        return admitted

    def _step(self, admitted: list[Written]) -> None:
        """One more token for every answer in progress, and the first one for those that were admitted."""
        started = time.perf_counter()
        tokens = [written.tokens[-1] for written in self._active]
        spans: list[Span] = []
        for slot, written in enumerate(admitted, start=len(self._active)):
            spans.append(Span(len(tokens), len(written.prompt.tokens), slot=slot))
            tokens += written.prompt.tokens
        held = tuple(len(written.prompt.tokens) + len(written.tokens) - 1 for written in self._active)
        step = PackedStep(tuple(spans), held, self._kept, self._check_stop)
        states = self._model.hidden(tokens, step)
        ends = [*range(len(self._active)), *(span.start + span.length - 1 for span in spans)]
        logits = self._model.logits(states[ends])
        asked = [*self._active, *admitted]
        chosen = choose_tokens(logits, [written.prompt.sampler for written in asked])
        seconds = time.perf_counter() - started
        for written, token in zip(asked, chosen, strict=True):
            written.broken = token is None
            if token is not None:
                written.tokens.append(token)
                written.ended = token in self._stop_ids
        for written in self._active:
            written.seconds += seconds / len(tokens)
        for written in admitted:
            written.seconds += seconds * len(written.prompt.tokens) / len(tokens)
            written.first_token_seconds = seconds
        self._active = asked

    def _take_complete(self) -> Iterator[Written]:
        """Slots in use stay next to each other, so that a step reads them without copying."""
        for slot in reversed(range(len(self._active))):
            if not self._active[slot].is_complete:
                continue
            complete, last = self._active[slot], self._active.pop()
            if last is not complete:
                self._kept.move(len(self._active), slot, len(last.prompt.tokens) + len(last.tokens) - 1)
                self._active[slot] = last
            yield complete

    def _check_stop(self) -> None:
        if self._stop_requested():
            raise StopRequestedError
