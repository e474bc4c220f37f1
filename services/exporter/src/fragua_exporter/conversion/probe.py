"""The question that every file is asked before it is published, and what must end its answer."""

from __future__ import annotations

from dataclasses import dataclass

from fragua_exporter.conversion.chat_template import ChatFormat, SystemPrompt
from fragua_exporter.conversion.trained_tokenizer import TrainedTokenizer
from fragua_platform.errors import InvalidInput, Violation


@dataclass(frozen=True)
class Probe:
    """The question that every file is asked, in the words of the model's own template."""

    prompt: str
    token_ids: tuple[int, ...]
    max_tokens: int


@dataclass(frozen=True)
class Ends:
    """What ends an answer."""

    end_of_turn: int
    """The token with which it should."""
    tokens: tuple[int, ...]
    """Every token with which one may: those of other turns and of the text's end besides."""
    texts: tuple[str, ...]
    """The family's stops, which no answer may hold. Some are several tokens, as `[INST]` in the first Mistrals."""


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
