"""A GGUF file that llama.cpp has loaded: its metadata, its tokenizer, and the tokens that end a turn."""

from __future__ import annotations

import ctypes
import hashlib
import logging
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import llama_cpp

from fragua_platform.errors import InvalidInput

_MAGIC: Final = b"GGUF"


class GgufFile:
    """Metadata and tokenizer are read at once, the weights when they are first needed: several arms may be open."""

    def __init__(self, file: Path) -> None:
        self.name = file.name
        self.sha256 = _digest(file)
        self._file = file
        # It tells every tensor otherwise; why it refuses a file still reaches standard error.
        logging.getLogger("llama-cpp-python").setLevel(logging.ERROR)
        llama_cpp.llama_backend_init()
        self._weights: Any = None
        self._words: Any = self._load(words_only=True)
        self._vocabulary = llama_cpp.llama_model_get_vocab(self._words)
        self.vocabulary_size = llama_cpp.llama_vocab_n_tokens(self._vocabulary)
        self.ends = frozenset(
            token for token in range(self.vocabulary_size) if llama_cpp.llama_vocab_is_eog(self._vocabulary, token)
        )

    @property
    def weights(self) -> Any:
        if self._weights is None:
            self._weights = self._load(words_only=False)
        return self._weights

    def close(self) -> None:
        for model in (self._weights, self._words):
            if model is not None:
                llama_cpp.llama_model_free(model)
        self._weights = self._words = None

    def metadata(self, key: str) -> str | None:
        name = key.encode()
        length = llama_cpp.llama_model_meta_val_str(self._words, name, ctypes.create_string_buffer(1), 1)
        if length < 0:
            return None
        value = ctypes.create_string_buffer(length + 1)
        llama_cpp.llama_model_meta_val_str(self._words, name, value, length + 1)
        return value.value.decode("utf-8", "replace")

    @property
    def architecture(self) -> str:
        return self.metadata("general.architecture") or ""

    @property
    def weights_type(self) -> str:
        """E.g. `Q8_0`."""
        named = self.metadata("general.file_type")
        if named is None or not named.isdecimal():
            return "unknown"
        return (llama_cpp.llama_ftype_name(int(named)) or b"unknown").decode()

    @property
    def context_length(self) -> int:
        named = self.metadata(f"{self.architecture}.context_length")
        if named is None or not named.isdecimal() or named == "0":
            raise InvalidInput(f"{self.name} does not say how long its context is", reason="UNSUPPORTED_MODEL")
        return int(named)

    def _load(self, *, words_only: bool) -> Any:
        parameters = llama_cpp.llama_model_default_params()
        parameters.vocab_only = words_only
        model = llama_cpp.llama_model_load_from_file(str(self._file).encode(), parameters)
        if model is None:
            raise InvalidInput(
                f"{self.name}: llama.cpp cannot load the file; it is damaged, incomplete, of an architecture that this "
                "version does not know, or too large for this machine; its reasons are on standard error",
                reason="UNSUPPORTED_MODEL",
            )
        return model

    @property
    def begin(self) -> str:
        return self.name_of(llama_cpp.llama_vocab_bos(self._vocabulary))

    @property
    def end(self) -> str:
        return self.name_of(self.end_of_text)

    @property
    def end_of_text(self) -> int:
        return llama_cpp.llama_vocab_eos(self._vocabulary)

    def name_of(self, token: int) -> str:
        return "" if token < 0 else llama_cpp.llama_vocab_get_text(self._vocabulary, token).decode("utf-8", "replace")

    def is_mark(self, token: int) -> bool:
        """Whether it stands for no text, but marks a turn or the like."""
        return bool(llama_cpp.llama_vocab_is_control(self._vocabulary, token))

    def tokenize(self, text: str) -> tuple[int, ...]:
        """Marks of turns become their tokens. Nothing is added: a template writes what begins a text."""
        data = text.encode("utf-8", "replace")
        room = len(data) + 16
        tokens = (llama_cpp.llama_token * room)()
        count = llama_cpp.llama_tokenize(self._vocabulary, data, len(data), tokens, room, False, True)
        if count < 0:
            raise InvalidInput(f"{self.name}: llama.cpp cannot split a text into tokens", reason="UNSUPPORTED_MODEL")
        return tuple(tokens[:count])

    def text(self, tokens: Sequence[int]) -> str:
        """Tokens that mark turns are written out, so that an answer which holds them can be told."""
        given = (llama_cpp.llama_token * len(tokens))(*tokens)
        room = 16 * len(tokens) + 16
        while True:
            data = ctypes.create_string_buffer(room)
            length = llama_cpp.llama_detokenize(self._vocabulary, given, len(tokens), data, room, False, True)
            if length >= 0:
                return data.raw[:length].decode("utf-8", "replace")
            room = -length


def _digest(file: Path) -> str:
    """Of a file that is opened twice, once to look at it and once to ask it."""
    if not file.is_file():
        raise InvalidInput(f"the inputs have no file {file.name}", reason="MODEL_NOT_FOUND")
    with file.open("rb") as content:
        if content.read(len(_MAGIC)) != _MAGIC:
            raise InvalidInput(f"{file.name} is no GGUF file", reason="UNSUPPORTED_MODEL")
    about = file.stat()
    return _sha256(file, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=64)
def _sha256(file: Path, _size: int, _changed: int) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
