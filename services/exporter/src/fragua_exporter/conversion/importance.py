"""Measures which weights the trained model uses most, so that the quantizer keeps these best: an importance matrix.

A weight counts as much as the numbers that it is multiplied with: the mean square of each input of each matrix, over
conversations of the model's own training.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from pydantic import BaseModel, Field, ValidationError

from fragua_exporter.conversion.architectures.plan import ModelPlan
from fragua_exporter.conversion.chat_template import ChatFormat
from fragua_exporter.conversion.trained_tokenizer import TrainedTokenizer
from fragua_platform.errors import InvalidData, Violation

if TYPE_CHECKING:
    import torch

ROWS = 128
ROW_TOKENS = 512
"""What is behind is left out; the same tokens in more rows tell more."""

_SEED = b"fragua importance rows"
# llama.cpp weighs its errors by these numbers: of a block in which all were zero it could not say which error is least.
_SMALLEST_SHARE = 1e-6


class _Message(BaseModel):
    role: str
    content: str


class _Row(BaseModel):
    messages: list[_Message] = Field(min_length=2)


Conversation = tuple[int, ...]
"""The token ids of a prompt and its answer."""


def load_conversations(
    path: Path, tokenizer: TrainedTokenizer, chat: ChatFormat, context_length: int
) -> tuple[Conversation, ...]:
    """Some rows of the file, always the same ones; raises InvalidData that names the first that cannot be used."""
    # Distinct rows by a draw that depends on their content alone, so that neither order nor repetition matters.
    drawn = {hashlib.blake2b(line, key=_SEED, digest_size=16).digest(): (n, line) for n, line in _lines(path)}
    chosen = [drawn[rank] for rank in heapq.nsmallest(ROWS, drawn)]
    if not chosen:
        raise InvalidData(f"{path.name} holds no rows; leave the importance dataset out")
    return tuple(
        _tokens(path, number, line, tokenizer, chat)[: min(ROW_TOKENS, context_length)] for number, line in chosen
    )


def measure_importance(
    base: Path,
    adapter: Path,
    plan: ModelPlan,
    conversations: tuple[Conversation, ...],
    target: Path,
    on_conversation: Callable[[int], None],
) -> None:
    """Write the importance of each matrix's columns under its name in GGUF files; takes four bytes per parameter.

    `on_conversation` hears how many are done and may raise to stop.
    """
    # Imported late: they take seconds, and `fragua-gguf --no-verify` needs none of them.
    import torch
    from peft import PeftModel
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, local_files_only=True)
    model = PeftModel.from_pretrained(model, adapter).eval()
    targets = {tensor.source: tensor.target for tensor in plan.tensors if len(tensor.shape) == 2}
    squares: dict[str, torch.Tensor] = {}

    def listen(name: str) -> Callable[[torch.nn.Module, tuple[torch.Tensor, ...]], None]:
        def add(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            summed = inputs[0].flatten(0, -2).square().sum(0).double()
            squares[name] = squares[name] + summed if name in squares else summed

        return add

    for name, module in model.named_modules():
        source = name.removeprefix("base_model.model.").removesuffix(".base_layer") + ".weight"
        if isinstance(module, torch.nn.Linear) and source in targets:
            module.register_forward_pre_hook(listen(targets[source]))
    tokens = 0
    with torch.inference_mode():
        for done, conversation in enumerate(conversations, start=1):
            model(torch.tensor([conversation]), use_cache=False)
            tokens += len(conversation)
            on_conversation(done)
    means = {name: summed / tokens for name, summed in squares.items()}
    save_file(
        {name: mean.clamp_min(float(mean.mean()) * _SMALLEST_SHARE).float() for name, mean in means.items()}, target
    )


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as lines:
        yield from enumerate(lines, start=1)


def _tokens(path: Path, number: int, line: bytes, tokenizer: TrainedTokenizer, chat: ChatFormat) -> Conversation:
    try:
        *prompt, answer = (message.model_dump() for message in _Row.model_validate_json(line).messages)
        return tokenizer.encode(tokenizer.render(prompt) + answer["content"] + chat.end_of_turn)
    except (ValidationError, jinja2.TemplateError) as unusable:
        problem = Violation(f"{path.name} line {number}", f"is no conversation of this model: {unusable}")
        raise InvalidData(
            f"{problem.field} {problem.description}; take a dataset that this model could be trained on",
            violations=[problem],
        ) from unusable
