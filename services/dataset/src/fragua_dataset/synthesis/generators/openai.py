"""Asks an endpoint that speaks OpenAI's chat completions, as vLLM, llama.cpp, Ollama and many others do."""

from __future__ import annotations

from typing import Any

from fragua_dataset.domain.synthesis_spec import Generator as GeneratorSpec
from fragua_dataset.synthesis.generators.endpoint import Endpoint, Wait, count_of
from fragua_dataset.synthesis.generators.port import Answer, Chat, Unanswered


class ChatCompletions:
    """Implements `Generator`. `endpoint` goes up to the version: `http://127.0.0.1:8000/v1`."""

    def __init__(self, spec: GeneratorSpec, key: str, wait: Wait) -> None:
        self._endpoint = Endpoint(spec, key, wait)
        self._options: dict[str, Any] = {"model": spec.model, "temperature": spec.temperature, "stream": False}
        if spec.max_tokens:
            self._options["max_tokens"] = spec.max_tokens

    def answer(self, chat: Chat, seed: int, deadline: float) -> Answer:
        question = self._options | {"messages": list(chat), "seed": seed}
        found = self._endpoint.post("/chat/completions", question, deadline)
        try:
            choice = found["choices"][0]
            text = choice["message"]["content"]
        except (KeyError, IndexError, TypeError):
            raise Unanswered("no chat completion") from None
        if not isinstance(text, str) or not text.strip():
            raise Unanswered("no text")
        usage = found.get("usage")
        tokens = count_of(usage.get("total_tokens")) if isinstance(usage, dict) else None
        return Answer(text, tokens, complete=choice.get("finish_reason") != "length")

    def close(self) -> None:
        self._endpoint.close()
