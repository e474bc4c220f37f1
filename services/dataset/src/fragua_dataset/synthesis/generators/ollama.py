"""Asks an Ollama server by its own API."""

from __future__ import annotations

from typing import Any

from fragua_dataset.domain.synthesis_spec import Generator as GeneratorSpec
from fragua_dataset.synthesis.generators.endpoint import Endpoint, Wait, count_of
from fragua_dataset.synthesis.generators.port import Answer, Chat, Unanswered


class OllamaChat:
    """Implements `Generator`. `endpoint` is the server: `http://127.0.0.1:11434`."""

    def __init__(self, spec: GeneratorSpec, key: str, wait: Wait) -> None:
        self._endpoint = Endpoint(spec, key, wait)
        self._model = spec.model
        self._options: dict[str, Any] = {"temperature": spec.temperature}
        if spec.max_tokens:
            self._options["num_predict"] = spec.max_tokens

    def answer(self, chat: Chat, seed: int, deadline: float) -> Answer:
        options = self._options | {"seed": seed}
        question = {"model": self._model, "messages": list(chat), "stream": False, "options": options}
        found = self._endpoint.post("/api/chat", question, deadline)
        message = found.get("message")
        text = message.get("content") if isinstance(message, dict) else None
        if not isinstance(text, str) or not text.strip() or found.get("done") is not True:
            raise Unanswered("no finished message")
        counts = [count_of(found.get(name)) for name in ("prompt_eval_count", "eval_count")]
        # A prompt that it still remembers is not evaluated, and then not counted either.
        told = [count for count in counts if count is not None]
        return Answer(text, sum(told) if told else None, complete=found.get("done_reason") != "length")

    def close(self) -> None:
        self._endpoint.close()
