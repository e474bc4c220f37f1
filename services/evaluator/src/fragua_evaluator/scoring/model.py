"""Loads the base once, puts the adapter on it, and lets either of the two answer over one and the same path."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from fragua_platform.errors import Corrupted, InvalidInput, Violation
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from pydantic import BaseModel
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedModel, StoppingCriteria, StoppingCriteriaList

from fragua_evaluator.domain.evaluation_spec import Arm
from fragua_evaluator.scoring.chat import Chat

ADAPTER_WEIGHTS = "adapter_model.safetensors"
_MAX_VIOLATIONS = 20

_WARM_UP_TOKENS = 16
"""Some of what happens once happens only after the first few tokens."""

_SMALL_BASE_BYTES = 1 << 30
"""On a CPU, smaller bases run in fp32: it is the faster there, and the memory does not matter."""


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
        self._greedy = self._greedy_up_to(max_new_tokens)

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

    def warm_up(self, prompts: list[list[int]]) -> None:
        """Let libraries do once, and unmeasured, what they do at the first answer of either arm."""
        for arm in Arm:
            with self.answering_as(arm):
                self._generate(prompts, self._greedy_up_to(_WARM_UP_TOKENS), lambda: False)

    def answer(self, prompts: list[list[int]], stop_requested: Callable[[], bool]) -> tuple[list[Answer], float] | None:
        """The answers and the seconds they took; None when a stop was requested before they were complete."""
        started = time.perf_counter()
        answers = [self._read(tokens) for tokens in self._generate(prompts, self._greedy, stop_requested)]
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
        with torch.inference_mode():
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


class _StopRequested(StoppingCriteria):
    """Looks at the request after every token: a batch may take minutes, and a drained node gives seconds."""

    def __init__(self, stop_requested: Callable[[], bool]) -> None:
        self._stop_requested = stop_requested

    def __call__(self, input_ids: torch.Tensor, _scores: Any, **_: Any) -> torch.Tensor:
        return torch.full((len(input_ids),), self._stop_requested(), device=input_ids.device)


def load_tuned_model(base: Path, adapter: Path, chat: Chat, max_new_tokens: int) -> TunedModel:
    """Raises InvalidInput when the adapter is not one for this base, naming every tensor that does not fit."""
    config = _adapter_config(adapter)
    model = _load_base(base)
    # What the base's authors recommend, such as sampling or a repetition penalty, would fill every gap of ours.
    model.generation_config = GenerationConfig()
    try:
        tuned: PeftModel = get_peft_model(model, config)
    except ValueError as unmatched:
        raise InvalidInput(
            f"the adapter is for another base: {unmatched}", reason="ADAPTER_BASE_MISMATCH"
        ) from unmatched
    _put_weights(tuned, adapter / ADAPTER_WEIGHTS)
    return TunedModel(tuned.eval(), chat, max_new_tokens)


def _adapter_config(adapter: Path) -> LoraConfig:
    for name in ("adapter_config.json", ADAPTER_WEIGHTS):
        if not (adapter / name).is_file():
            raise InvalidInput(f"the adapter has no {name}: it must be a PEFT directory saved with safetensors")
    try:
        config = PeftConfig.from_pretrained(str(adapter))
    except (OSError, ValueError, KeyError, TypeError) as broken:
        raise InvalidInput(f"the adapter's adapter_config.json cannot be read: {broken}") from broken
    if not isinstance(config, LoraConfig):
        raise InvalidInput(f"the adapter is of type {config.peft_type}; only LoRA adapters can be scored")
    if config.bias != "none":
        raise InvalidInput(
            f"the adapter also trained biases (bias = {config.bias!r}), which cannot be switched off to hear the "
            "base; train with bias = 'none'"
        )
    config.inference_mode = True
    return config


def _load_base(base: Path) -> PreTrainedModel:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    is_small = sum(file.stat().st_size for file in base.glob("*.safetensors")) < _SMALL_BASE_BYTES
    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            base,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32 if is_small and device.type == "cpu" else "auto",
        )
    except SafetensorError as damaged:
        raise Corrupted(f"the base model's weights are damaged: {damaged}") from damaged
    except (OSError, ValueError, RuntimeError) as broken:
        raise InvalidInput(f"the base model cannot be loaded: {broken}") from broken
    nn.Module.to(model, device)
    return model


def _put_weights(model: PeftModel, file: Path) -> None:
    try:
        given = load_file(file)
    except SafetensorError as damaged:
        raise Corrupted(f"the adapter's weights are damaged: {damaged}") from damaged
    # Otherwise PEFT would ask a hub whether the base's vocabulary has grown.
    expected = get_peft_model_state_dict(model, save_embedding_layers=False)
    violations = [
        Violation(f"adapter, {name}", f"is {_shape(given, name)}, the base takes {_shape(expected, name)}")
        for name in sorted(given.keys() | expected.keys())
        if _shape(given, name) != _shape(expected, name)
    ]
    if violations:
        raise InvalidInput(
            f"the adapter is for another base: {len(violations)} tensors do not fit; "
            f"first: {violations[0].field}: {violations[0].description}",
            reason="ADAPTER_BASE_MISMATCH",
            violations=violations[:_MAX_VIOLATIONS],
        )
    set_peft_model_state_dict(model, given)


def _shape(tensors: dict[str, torch.Tensor], name: str) -> str:
    return "×".join(map(str, tensors[name].shape)) if name in tensors else "absent"
