"""Lets the base or the tuned model answer, over one and the same path."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft import PeftModel
from pydantic import BaseModel
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from fragua_evaluator.domain.evaluation_spec import Arm
from fragua_evaluator.scoring.chat import Chat
from fragua_platform.errors import LimitExceeded

_WARM_UP_TOKENS = 4


class Answer(BaseModel, frozen=True):
    text: str
    tokens: int
    """Generated, the one that ends the turn included."""
    stopped: bool
    """Whether the model ended its turn; else it was cut."""


class TunedModel:
    """Base and adapter in one; `answering_as` chooses which of the two speaks."""

    def __init__(self, model: PeftModel, chat: Chat, max_new_tokens: int) -> None:
        self._model = model
        self._chat = chat
        self._max_new_tokens = max_new_tokens

    @property
    def device(self) -> torch.device:
        return next(self._model.parameters()).device

    @property
    def weights_type(self) -> str:
        return str(next(self._model.get_base_model().parameters()).dtype).removeprefix("torch.")

    @contextmanager
    def answering_as(self, arm: Arm) -> Iterator[None]:
        if arm is Arm.TUNED:
            yield
        else:
            with self._model.disable_adapter():
                yield

    def warm_up(self, prompts: list[list[int]], stop_requested: Callable[[], bool]) -> None:
        """Let libraries do once, and unmeasured, what they do at the first answer of either arm."""
        few_tokens = self._greedy_up_to(min(_WARM_UP_TOKENS, self._max_new_tokens))
        for arm in Arm:
            with self.answering_as(arm):
                self._generate(prompts, few_tokens, stop_requested)
        # Python's collector would look through all that was imported, for a third of a second, during the first arm.
        gc.collect()
        gc.freeze()

    def answer(self, prompts: list[list[int]], stop_requested: Callable[[], bool]) -> tuple[list[Answer], float] | None:
        """The answers and the seconds they took; None when a stop was requested before they were complete."""
        greedy = self._greedy_up_to(self._max_new_tokens)
        started = time.perf_counter()
        answers = [self._read(tokens) for tokens in self._generate(prompts, greedy, stop_requested)]
        seconds = time.perf_counter() - started
        return None if stop_requested() else (answers, seconds)

    def _generate(
        self, prompts: list[list[int]], config: GenerationConfig, stop_requested: Callable[[], bool]
    ) -> list[list[int]]:
        longest = max(map(len, prompts))
        # On the left, so that every prompt ends where its answer begins.
        padding = [longest - len(prompt) for prompt in prompts]
        ids = [[self._chat.pad_id] * pad + prompt for pad, prompt in zip(padding, prompts, strict=True)]
        mask = [[0] * pad + [1] * len(prompt) for pad, prompt in zip(padding, prompts, strict=True)]
        with torch.inference_mode(), out_of_memory_reported("lower batch_size or max_new_tokens"):
            generated = self._model.generate(
                input_ids=torch.tensor(ids, device=self.device),
                attention_mask=torch.tensor(mask, device=self.device),
                generation_config=config,
                stopping_criteria=StoppingCriteriaList([_StopRequested(stop_requested)]),
            )
        answers: list[list[int]] = generated[:, longest:].tolist()
        return answers

    def _greedy_up_to(self, max_new_tokens: int) -> GenerationConfig:
        return GenerationConfig(
            max_new_tokens=max_new_tokens,
            do_sample=False,
            eos_token_id=list(self._chat.stop_ids),
            pad_token_id=self._chat.pad_id,
        )

    def _read(self, tokens: list[int]) -> Answer:
        ends = [index for index, token in enumerate(tokens) if token in self._chat.stop_ids]
        said = tokens[: ends[0]] if ends else tokens
        text = self._chat.tokenizer.decode(said, skip_special_tokens=True)
        return Answer(text=str(text), tokens=len(said) + bool(ends), stopped=bool(ends))


@contextmanager
def out_of_memory_reported(way_out: str) -> Iterator[None]:
    """Torch has a class for this on a GPU only; on a CPU it is a text."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        raise LimitExceeded(f"out of memory: {way_out}; the allocator said: {error}", reason="OUT_OF_MEMORY") from error


class _StopRequested(StoppingCriteria):
    """Looks at the request after every token: a batch may take minutes, and a drained node gives seconds."""

    def __init__(self, stop_requested: Callable[[], bool]) -> None:
        self._stop_requested = stop_requested

    def __call__(self, input_ids: torch.Tensor, _scores: Any, **_: Any) -> torch.Tensor:
        return torch.full((len(input_ids),), self._stop_requested(), device=input_ids.device)
