"""Answers many questions at once, always with the likeliest token: in transformers, and in llama.cpp from a GGUF file."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import llama_cpp
import numpy as np
import torch
from transformers import GenerationConfig

from fragua_platform.errors import InternalError, LimitExceeded

_TOGETHER = 8
"""Questions at once: a step costs little more for eight than for one, because it waits for the weights."""

Ids = tuple[int, ...]


def answer_in_transformers(model: Any, questions: Sequence[Ids], max_tokens: int, stop_ids: Sequence[int]) -> list[Ids]:
    """In the order of the questions; an answer holds the stop token that ended it."""
    answers: dict[int, Ids] = {}
    for group in _groups(questions):
        width = max(len(questions[index]) for index in group)
        # Padded on the left, so that every answer begins at the same place.
        padded = [(stop_ids[0],) * (width - len(questions[index])) + questions[index] for index in group]
        mask = [(0,) * (width - len(questions[index])) + (1,) * len(questions[index]) for index in group]
        with torch.inference_mode():
            generated = model.generate(
                input_ids=torch.tensor(padded),
                attention_mask=torch.tensor(mask),
                generation_config=GenerationConfig(
                    max_new_tokens=max_tokens, do_sample=False, eos_token_id=list(stop_ids), pad_token_id=stop_ids[0]
                ),
            )
        for index, ids in zip(group, generated[:, width:].tolist(), strict=True):
            answers[index] = _up_to_stop(ids, stop_ids)
    return [answers[index] for index in range(len(questions))]


def answer_in_llama_cpp(
    model: llama_cpp.Llama,
    questions: Sequence[Ids],
    max_tokens: int,
    stop_ids: Sequence[int],
    on_step: Callable[[], None],
) -> list[Ids]:
    """The same through a GGUF file. `on_step` is called now and then and may raise to stop."""
    answers: dict[int, list[int]] = {index: [] for index in range(len(questions))}
    with _context(model, max(map(len, questions), default=1) + max_tokens) as context:
        for group in _groups(questions):
            context.forget()
            # Questions one by one, since each fills a batch; then a token of each answer at a time.
            speakers = [
                _Speaker(index, sequence, len(questions[index]), context.read(sequence, questions[index]))
                for sequence, index in enumerate(group)
            ]
            while speakers:
                on_step()
                for speaker in speakers:
                    answers[speaker.index].append(speaker.token)
                speakers = [s for s in speakers if s.token not in stop_ids and len(answers[s.index]) < max_tokens]
                speakers = context.step(speakers)
    return [tuple(answers[index]) for index in range(len(questions))]


@dataclass(frozen=True)
class _Speaker:
    """An answer under way."""

    index: int
    """Of its question."""
    sequence: int
    """llama.cpp's number of the conversation."""
    place: int
    token: int
    """The last one, which the model has not read yet; it belongs at `place`."""


class _Context:
    """llama.cpp's memory of several conversations at once; the binding's own class knows only one."""

    def __init__(self, pointer: Any, batch: Any, vocabulary: int) -> None:
        self._pointer = pointer
        self._batch = batch
        self._vocabulary = vocabulary

    def forget(self) -> None:
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self._pointer), True)

    def read(self, sequence: int, question: Ids) -> int:
        """The likeliest token after the question."""
        last = len(question) - 1
        self._decode([(sequence, place, token, place == last) for place, token in enumerate(question)])
        return self._likeliest(last)

    def step(self, speakers: Sequence[_Speaker]) -> list[_Speaker]:
        """Each with its next token."""
        if speakers:
            self._decode([(speaker.sequence, speaker.place, speaker.token, True) for speaker in speakers])
        return [replace(s, place=s.place + 1, token=self._likeliest(row)) for row, s in enumerate(speakers)]

    def _decode(self, entries: Sequence[tuple[int, int, int, bool]]) -> None:
        batch = self._batch
        batch.n_tokens = len(entries)
        for row, (sequence, place, token, wanted) in enumerate(entries):
            batch.token[row], batch.pos[row], batch.logits[row] = token, place, wanted
            batch.n_seq_id[row] = 1
            batch.seq_id[row][0] = sequence
        if status := llama_cpp.llama_decode(self._pointer, batch):
            raise LimitExceeded(f"llama.cpp gave up with status {status} while it answered the task's rows; see stderr")

    def _likeliest(self, row: int) -> int:
        logits = llama_cpp.llama_get_logits_ith(self._pointer, row)
        return int(np.ctypeslib.as_array(logits, shape=(self._vocabulary,)).argmax())


@contextmanager
def _context(model: llama_cpp.Llama, length: int) -> Iterator[_Context]:
    parameters = llama_cpp.llama_context_default_params()
    # llama.cpp deals the cells out evenly, and rounds what each conversation gets to a multiple of 256.
    parameters.n_ctx = -(-length // 256) * 256 * _TOGETHER
    parameters.n_batch = max(length, _TOGETHER)
    parameters.n_seq_max = _TOGETHER
    parameters.n_threads = parameters.n_threads_batch = torch.get_num_threads()
    pointer = llama_cpp.llama_init_from_model(model.model, parameters)
    if pointer is None:
        raise LimitExceeded(
            f"llama.cpp has no memory for {_TOGETHER} answers of {length} tokens at once; see its reasons on stderr",
            reason="OUT_OF_MEMORY",
        )
    _add_adapter(model, pointer)
    batch = llama_cpp.llama_batch_init(parameters.n_batch, 0, 1)
    try:
        yield _Context(pointer, batch, model.n_vocab())
    finally:
        llama_cpp.llama_batch_free(batch)
        llama_cpp.llama_free(pointer)


def _add_adapter(model: llama_cpp.Llama, pointer: Any) -> None:
    """The binding gives an adapter to its own context alone."""
    if model._lora_adapter is None:
        return
    adapters: Any = (llama_cpp.llama_adapter_lora_p_ctypes * 1)()
    adapters[0] = model._lora_adapter
    if llama_cpp.llama_set_adapters_lora(pointer, adapters, 1, (ctypes.c_float * 1)(model.lora_scale)):
        raise InternalError("llama.cpp does not add the adapter to a second context; please report this as a defect")


def _groups(questions: Sequence[Ids]) -> Iterator[list[int]]:
    """Indices of questions of like length, to pad little."""
    order = sorted(range(len(questions)), key=lambda index: (len(questions[index]), index))
    for start in range(0, len(order), _TOGETHER):
        yield order[start : start + _TOGETHER]


def _up_to_stop(ids: Sequence[int], stop_ids: Sequence[int]) -> Ids:
    end = next((place for place, token in enumerate(ids) if token in stop_ids), len(ids))
    return tuple(ids[: end + 1])
