"""Asks a GGUF file through llama.cpp, on this machine."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from fragua_dataset.domain.synthesis_spec import Generator as GeneratorSpec
from fragua_dataset.synthesis.generators.port import Answer, Chat, Unanswered
from fragua_platform.errors import InvalidInput
from fragua_platform.jobs.engine import prepare_libraries

_MOST_CONTEXT: Final = 8192
"""Room for question and answer; what models were trained for would often take more memory than they do."""
_MAX_TOKENS: Final = 2048


class LocalGguf:
    """Implements `Generator`."""

    def __init__(self, spec: GeneratorSpec, folder: Path) -> None:
        if find_spec("llama_cpp") is None:
            problem = "this worker cannot run GGUF files: install fragua-dataset[gguf] there, or ask an endpoint"
            raise InvalidInput(problem, reason="EXTRA_MISSING")
        threads = prepare_libraries()
        import llama_cpp

        files = sorted(folder.glob("*.gguf"))
        if len(files) != 1:
            raise InvalidInput(f"{spec.model} holds {len(files)} GGUF files, expected one", reason="NO_GGUF_FILE")
        try:
            told = llama_cpp.Llama(str(files[0]), vocab_only=True, verbose=False)
            context = min(_trained_context(told.metadata), _MOST_CONTEXT)
            told.close()
            self._model = llama_cpp.Llama(str(files[0]), n_ctx=context, n_threads=threads, verbose=False)
        except ValueError as broken:
            raise InvalidInput(f"llama.cpp cannot load {spec.model}: {broken}", reason="GGUF_NOT_LOADED") from broken
        self._temperature = spec.temperature
        self._max_tokens = min(spec.max_tokens or _MAX_TOKENS, context)

    def answer(self, chat: Chat, seed: int, deadline: float) -> Answer:
        try:
            found: Any = self._model.create_chat_completion(
                messages=[*chat],  # type: ignore[list-item]
                temperature=self._temperature,
                max_tokens=self._max_tokens,
                seed=seed % 2**32,
            )
        except ValueError:
            # It says so of a prompt that is longer than its context.
            raise Unanswered("question too long") from None
        choice = found["choices"][0]
        text = choice["message"]["content"] or ""
        if not text.strip():
            raise Unanswered("no text")
        return Answer(text, found["usage"]["total_tokens"], complete=choice["finish_reason"] != "length")

    def close(self) -> None:
        self._model.close()


def _trained_context(metadata: dict[str, str]) -> int:
    architecture = metadata.get("general.architecture", "")
    told = metadata.get(f"{architecture}.context_length", "")
    return int(told) if told.isdecimal() and int(told) else _MOST_CONTEXT
