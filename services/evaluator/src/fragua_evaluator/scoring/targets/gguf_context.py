"""llama.cpp's memory of several conversations at once, which the binding's own class does not have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from fragua_evaluator.scoring.targets.gguf_model import GgufFile
from fragua_platform.errors import LimitExceeded

T = TypeVar("T")
Logits = NDArray[np.float32]
Entry = tuple[int, int, int, bool]
"""Conversation, place, token, and whether the logits after it are wanted."""

_CELLS: Final = 256
"""llama.cpp rounds the length of a conversation up to a multiple of it."""
TOKENS_AT_ONCE: Final = 256
"""Nobody can stop llama.cpp in the middle of a call; more in one are hardly faster on a CPU."""

_MEMORY_BYTES: Final = 2**30
"""For keys and values in 16 bits; whoever runs the model alone needs no more than one conversation's."""


class StopReading(Exception):
    """A stop was requested while a prompt was read."""


class GgufContext:
    def __init__(self, pointer: Any, batch: Any, vocabulary_size: int, stop_requested: Callable[[], bool]) -> None:
        self._pointer = pointer
        self._batch = batch
        self._vocabulary_size = vocabulary_size
        self._stop_requested = stop_requested

    def forget(self, conversation: int) -> None:
        llama_cpp.llama_memory_seq_rm(self._memory, conversation, -1, -1)

    def copy(self, origin: int, conversation: int) -> None:
        llama_cpp.llama_memory_seq_cp(self._memory, origin, conversation, -1, -1)

    def read(self, entries: Sequence[Entry], take: Callable[[int, Logits], T]) -> list[T]:
        """What `take` makes of the logits that are wanted, in the order of `entries`; it gets the index of the entry,
        and logits that the next reading overwrites."""
        taken: list[T] = []
        for start in range(0, len(entries), TOKENS_AT_ONCE):
            if self._stop_requested():
                raise StopReading
            part = entries[start : start + TOKENS_AT_ONCE]
            self._decode(part)
            taken += [take(start + row, self._logits(row)) for row, entry in enumerate(part) if entry[3]]
        return taken

    @property
    def _memory(self) -> Any:
        return llama_cpp.llama_get_memory(self._pointer)

    def _decode(self, entries: Sequence[Entry]) -> None:
        batch = self._batch
        batch.n_tokens = len(entries)
        for row, (conversation, place, token, wanted) in enumerate(entries):
            batch.token[row], batch.pos[row], batch.logits[row] = token, place, wanted
            batch.n_seq_id[row] = 1
            batch.seq_id[row][0] = conversation
        if status := llama_cpp.llama_decode(self._pointer, batch):
            raise LimitExceeded(f"llama.cpp gave up with status {status} while it answered; see its reasons on stderr")

    def _logits(self, row: int) -> Logits:
        logits = llama_cpp.llama_get_logits_ith(self._pointer, row)
        return np.ctypeslib.as_array(logits, shape=(self._vocabulary_size,))


@contextmanager
def open_context(
    file: GgufFile,
    *,
    conversations: int,
    length: int,
    threads: int,
    stop_requested: Callable[[], bool],
    shared: bool = False,
    exact: bool = False,
) -> Iterator[GgufContext]:
    """Room for so many conversations of so many tokens each; or, `shared`, of so many tokens together, for those that
    begin alike. `exact` keeps keys and values in 32 bits rather than in the 16 that all who run such files use."""
    cells = -(-length // _CELLS) * _CELLS
    parameters = llama_cpp.llama_context_default_params()
    parameters.n_ctx = cells if shared else cells * conversations
    parameters.n_batch = parameters.n_ubatch = TOKENS_AT_ONCE
    parameters.n_seq_max = conversations
    parameters.n_outputs_max_per_seq = 0  # As many as the batch holds; else one.
    parameters.kv_unified = shared
    if exact:
        parameters.type_k = parameters.type_v = llama_cpp.GGML_TYPE_F32
        parameters.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
    parameters.n_threads = parameters.n_threads_batch = threads
    pointer = llama_cpp.llama_init_from_model(file.weights, parameters)
    if pointer is None:
        raise LimitExceeded(
            f"llama.cpp has no memory for {conversations} answers of {file.name} at once, {length} tokens long; give the "
            "worker more memory, or lower max_new_tokens",
            reason="OUT_OF_MEMORY",
        )
    batch = llama_cpp.llama_batch_init(TOKENS_AT_ONCE, 0, 1)
    try:
        yield GgufContext(pointer, batch, file.vocabulary_size, stop_requested)
    finally:
        llama_cpp.llama_batch_free(batch)
        llama_cpp.llama_free(pointer)


def affordable(file: GgufFile, length: int, most: int) -> int:
    """How many conversations of this length keep their keys and values within a budget."""
    model = file.weights
    named = file.metadata(f"{file.architecture}.attention.key_length") or ""
    head = int(named or llama_cpp.llama_model_n_embd(model) // max(llama_cpp.llama_model_n_head(model), 1))
    a_token = 2 * 2 * llama_cpp.llama_model_n_layer(model) * llama_cpp.llama_model_n_head_kv(model) * head
    cells = -(-length // _CELLS) * _CELLS
    return max(1, min(most, _MEMORY_BYTES // max(a_token * cells, 1)))
