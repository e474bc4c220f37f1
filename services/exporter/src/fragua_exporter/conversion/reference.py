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
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from fragua_exporter.conversion.chat_template import CONVERSATIONS, ChatFormat, Message, SystemPrompt
from fragua_platform.errors import InvalidData, InvalidInput, Violation

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

TEMPLATE_DATE = "26 Jul 2024"
"""Llama 3's templates print today's date unless told otherwise. A Modelfile is read on another day, and the same inputs
must give the same bytes: so the date is the one that these templates hold themselves."""


@dataclass(frozen=True)
class Probe:
    """The question that every file is asked, in the words of the model's own template."""

    prompt: str
    token_ids: tuple[int, ...]
    max_tokens: int


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
    greedy_ids: tuple[int, ...]
    """The answer to the probe when the likeliest token is always taken, its end-of-turn token included."""


class TrainedTokenizer:
    """The tokenizer as training used it: chat turns are plain text, and nothing is added to them."""

    def __init__(self, base: Path) -> None:
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(base, local_files_only=True)
        except Exception as broken:  # The libraries below raise whatever they like at a damaged file.
            raise InvalidData(
                f"base model: transformers cannot load its tokenizer ({broken}); copy the directory again from its source"
            ) from broken
        if not self._tokenizer.chat_template:
            raise InvalidInput(
                "base model: its tokenizer has no chat template, so nobody can tell how to talk to it; "
                "use the instruction-tuned form of this base",
                reason="UNSUPPORTED_CHAT_TEMPLATE",
            )
        if "strftime_now" in self.chat_template and "date_string" not in self.chat_template:
            raise InvalidInput(
                "base model: its chat template prints the date of the day, which Ollama's cannot; replace strftime_now(…) "
                "in the base's chat template by a fixed date",
                reason="UNSUPPORTED_CHAT_TEMPLATE",
            )

    @property
    def chat_template(self) -> str:
        return str(self._tokenizer.get_chat_template())

    @property
    def bos(self) -> str:
        """The text of its begin-of-text token; empty when it has none."""
        return str(self._tokenizer.bos_token or "")

    def encode(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def render(self, messages: Sequence[Message]) -> str:
        return str(
            self._tokenizer.apply_chat_template(
                list(messages), tokenize=False, add_generation_prompt=True, date_string=TEMPLATE_DATE
            )
        )


def make_probe(
    tokenizer: TrainedTokenizer, chat: ChatFormat, system_prompt: str, question: str, max_tokens: int
) -> Probe:
    """The question through the Modelfile's TEMPLATE; refused when the model's own template would ask it otherwise."""
    system_prompt = chat.as_shown(system_prompt)
    system = [{"role": "system", "content": system_prompt}] if system_prompt else []
    messages = [*system, {"role": "user", "content": chat.as_shown(question)}]
    prompt = chat.render(messages)
    if not (system and chat.system_prompt is SystemPrompt.NEVER) and prompt != tokenizer.render(messages):
        raise InvalidInput(
            "the base's chat template changes the system prompt or the probe in a way that Ollama's cannot",
            violations=[Violation("probe_prompt", f"it prints {tokenizer.render(messages)[:400]!r}")],
            reason="UNSUPPORTED_CHAT_TEMPLATE",
        )
    return Probe(prompt, tokenizer.encode(prompt), max_tokens)


def run_reference(
    base: Path,
    adapter: Path,
    tokenizer: TrainedTokenizer,
    chat: ChatFormat,
    probe: Probe,
    stop_ids: Sequence[int],
    context_length: int,
) -> Reference:
    conversation = tokenizer.render([{"role": "user", "content": "\n".join(PARITY_TEXTS)}])
    texts = tuple((text, tokenizer.encode(text)) for text in (*PARITY_TEXTS, conversation, probe.prompt))
    turns = tuple((chat.render(messages), tokenizer.encode(asked)) for messages, asked in _asked(tokenizer, chat))
    # The probe comes first: a model is never nearer to its training than on a question of its own subject.
    parity_ids = (probe.token_ids + tokenizer.encode(conversation))[: min(PARITY_POSITIONS, context_length)]
    base_model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, local_files_only=True)
    # `generate` fills what its configuration leaves open from the model's own, which may hold repetition penalties.
    base_model.generation_config = GenerationConfig()
    model: Any = PeftModel.from_pretrained(base_model, adapter).eval()
    with torch.inference_mode():
        logits = model(torch.tensor([parity_ids])).logits[0]
        log_probabilities = torch.log_softmax(logits.double(), dim=-1).numpy()
        generated = model.generate(
            input_ids=torch.tensor([probe.token_ids]),
            attention_mask=torch.ones(1, len(probe.token_ids), dtype=torch.long),
            generation_config=GenerationConfig(
                max_new_tokens=probe.max_tokens, do_sample=False, eos_token_id=list(stop_ids), pad_token_id=stop_ids[0]
            ),
        )
    greedy_ids = tuple(generated[0, len(probe.token_ids) :].tolist())
    return Reference(texts, turns, parity_ids, log_probabilities, probe, greedy_ids)


def _asked(tokenizer: TrainedTokenizer, chat: ChatFormat) -> Iterator[tuple[Sequence[Message], str]]:
    """The conversations that the model's own template takes, as it prints them."""
    for conversation in CONVERSATIONS:
        if chat.system_prompt is not SystemPrompt.NEVER or conversation[0]["role"] != "system":
            yield conversation, tokenizer.render(conversation)
