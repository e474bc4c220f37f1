"""What the merged model must be: the same base and adapter in transformers and PEFT, run in 32 bits.

PEFT applies the adapter here and our own code merges it into the file, so that a fault in either shows as a difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, GenerationConfig

from fragua_exporter.conversion.answering import answer_in_transformers
from fragua_exporter.conversion.chat_template import CONVERSATIONS, ChatFormat, Message, SystemPrompt
from fragua_exporter.conversion.probe import Ends, Probe
from fragua_exporter.conversion.task import Score, Task, score
from fragua_exporter.conversion.trained_tokenizer import TrainedTokenizer

PARITY_TEXTS = (
    "La cigüeña voló según el año; el niño pequeño comió piña mañana.",
    "Où ça ? Größe, naïve, Ødegård, čeština, Ελληνικά, кириллица, 日本語, العربية.",
    "🙂👍🏽👨‍👩‍👧 ¡Olé! ½ € “quotes” — dash…",
    "def f(x):\n    return {'a': x[0] ** 2, \"b\": not x}\n\n\tif x != 1_000:\r\n\t\tpass  # end",
    "  two  spaces   three, 1234567 and 3.14159, I'll, they'RE, we've, x+=12!!\n\n\n end ",
)
"""Accents, ñ, other scripts, emoji of several code points, code, white space, digits and contractions."""

PARITY_POSITIONS = 256
"""Enough tokens for a stable mean; each costs one row of logits, and both sides keep them all in memory."""


@dataclass(frozen=True)
class Reference:
    texts: tuple[tuple[str, tuple[int, ...]], ...]
    """Texts with the token ids that the model was trained on."""
    turns: tuple[tuple[str, tuple[int, ...]], ...]
    """Conversations as the Modelfile's TEMPLATE prints them, with the token ids of the model's own template."""
    parity_ids: tuple[int, ...]
    log_probabilities: np.ndarray
    """At each position of `parity_ids`, over the vocabulary."""
    probe: Probe
    ends: Ends
    greedy_ids: tuple[int, ...]
    """The answer to the probe when the likeliest token is always taken, its end-of-turn token included."""
    task: Task | None
    task_score: Score | None


def run_reference(
    base: Path,
    adapter: Path | None,
    tokenizer: TrainedTokenizer,
    chat: ChatFormat,
    probe: Probe,
    task: Task | None,
    ends: Ends,
    context_length: int,
) -> Reference:
    conversation = tokenizer.render([{"role": "user", "content": "\n".join(PARITY_TEXTS)}])
    # Each inside of a turn, as the model is asked: some tokenizers put a space before bare text, which llama.cpp does
    # not, or does behind every special token.
    asked = [tokenizer.render([{"role": "user", "content": text}]) for text in PARITY_TEXTS]
    texts = tuple((text, tokenizer.encode(text)) for text in (*asked, conversation, probe.prompt))
    turns = tuple((chat.render(messages), tokenizer.encode(asked)) for messages, asked in _asked(tokenizer, chat))
    # The probe comes first: a model is never nearer to its training than on a question of its own subject.
    parity_ids = (probe.token_ids + tokenizer.encode(conversation))[: min(PARITY_POSITIONS, context_length)]
    base_model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, local_files_only=True)
    # `generate` fills what its configuration leaves open from the model's own, which may hold repetition penalties.
    base_model.generation_config = GenerationConfig()
    model: Any = PeftModel.from_pretrained(base_model, adapter).eval() if adapter else base_model.eval()
    with torch.inference_mode():
        logits = model(torch.tensor([parity_ids])).logits[0]
        log_probabilities = torch.log_softmax(logits.double(), dim=-1).numpy()
    [greedy_ids] = answer_in_transformers(model, [probe.token_ids], probe.max_tokens, ends.tokens)
    task_score = None
    if task is not None:
        answers = answer_in_transformers(model, [q.token_ids for q in task.questions], task.max_tokens, ends.tokens)
        task_score = score(task, [tokenizer.decode(ids) for ids in answers])
    return Reference(texts, turns, parity_ids, log_probabilities, probe, ends, greedy_ids, task, task_score)


def _asked(tokenizer: TrainedTokenizer, chat: ChatFormat) -> Iterator[tuple[Sequence[Message], str]]:
    """The conversations that the model's own template takes, as it prints them."""
    for conversation in CONVERSATIONS:
        if chat.system_prompt is not SystemPrompt.NEVER or conversation[0]["role"] != "system":
            yield conversation, tokenizer.render(conversation)
