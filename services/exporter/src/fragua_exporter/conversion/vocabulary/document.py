"""Reads the part of a tokenizer that decides about tokens, as training used it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import gguf
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fragua_exporter.conversion.checkpoint import read_json
from fragua_exporter.domain.export_spec import violations_of
from fragua_platform.errors import InvalidData, InvalidInput, Violation

_CLASSES_THAT_KEEP_THE_FILE = ("PreTrainedTokenizerFast", "TokenizersBackend", None)


class AddedToken(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: Annotated[int, Field(ge=0)]
    content: str
    special: bool = False
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False


class BpeModel(BaseModel):
    model_config = ConfigDict(frozen=True)

    type: Literal["BPE"]
    vocab: dict[str, Annotated[int, Field(ge=0)]]
    merges: list[str] | list[tuple[str, str]]
    unk_token: str | None = None
    ignore_merges: bool = False
    byte_fallback: bool = False
    dropout: None = None
    continuing_subword_prefix: Literal["", None] = None
    end_of_word_suffix: Literal["", None] = None


class TokenizerDocument(BaseModel):
    """tokenizer.json without what only matters for decoding and padding."""

    model_config = ConfigDict(frozen=True)

    model: BpeModel
    added_tokens: tuple[AddedToken, ...] = ()
    normalizer: Any = None
    pre_tokenizer: Any = None

    def texts(self, size: int) -> dict[int, str]:
        """The tokens by id, of an embedding with `size` rows."""
        largest = max(self.model.vocab.values(), default=-1)
        if largest >= size:
            raise InvalidInput(
                f"base model: its tokenizer has token id {largest}, but the embedding has only {size} rows; "
                "give the tokenizer that was saved with this base",
                reason="UNSUPPORTED_TOKENIZER",
            )
        texts = {token_id: text for text, token_id in self.model.vocab.items()}
        return texts | {token_id: token.content for token_id, token in self.added(size).items()}

    def added(self, size: int) -> dict[int, AddedToken]:
        """By id. transformers adds special tokens that a tokenizer lacks (Qwen 2's end of text) behind its last one,
        which may be behind the last row as well: the model never saw those, so no text of its training holds them."""
        return {token.id: token for token in self.added_tokens if token.id < size}


def read_tokenizer(directory: Path) -> TokenizerDocument:
    document: Mapping[str, Any] = read_json(directory / "tokenizer.json")
    configuration = directory / "tokenizer_config.json"
    kind = read_json(configuration).get("tokenizer_class") if configuration.exists() else None
    if kind not in _CLASSES_THAT_KEEP_THE_FILE:
        document = _as_transformers_loads_it(directory)
    try:
        return TokenizerDocument.model_validate(document)
    except ValidationError as invalid:
        raise unsupported(violations_of(invalid, "tokenizer.json")) from invalid


def type_of_added(token: AddedToken) -> gguf.TokenType:
    # Qwen and others mark tokens such as <|fim_prefix|> as ordinary; to llama.cpp they are no part of an answer.
    looks_special = token.content.startswith("<|") and token.content.endswith("|>")
    return gguf.TokenType.CONTROL if token.special or looks_special else gguf.TokenType.USER_DEFINED


def padding_of(token_id: int) -> str:
    """Embeddings are often padded to a round number of rows; llama.cpp wants a distinct text for each."""
    return f"[PAD{token_id}]"


def unsupported(problems: Sequence[Violation]) -> InvalidInput:
    return InvalidInput(
        "base model: llama.cpp would split text into other tokens than this tokenizer; "
        "use a base with a tokenizer like that of Llama, Mistral, Qwen, Phi or Gemma",
        violations=problems,
        reason="UNSUPPORTED_TOKENIZER",
    )


def _as_transformers_loads_it(directory: Path) -> Mapping[str, Any]:
    """Tokenizers with a class of their own (LlamaTokenizer, Qwen2Tokenizer, …) are rebuilt by that class, which takes
    over vocabulary and merges and may do everything else otherwise than tokenizer.json says."""
    # Imported late: it takes seconds, and most tokenizers need it only for the reference.
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    except Exception as broken:  # The libraries below raise whatever they like at a damaged file.
        raise InvalidData(
            f"base model: transformers cannot load its tokenizer ({broken}); copy the directory again from its source"
        ) from broken
    document: Mapping[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    return document
