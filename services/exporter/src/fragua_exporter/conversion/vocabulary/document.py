"""Reads the part of a tokenizer that decides about tokens, as training used it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import gguf
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fragua_exporter.conversion.checkpoint import read_json
from fragua_exporter.domain.export_spec import violations_of
from fragua_platform.errors import InvalidData, InvalidInput, Violation

_CLASSES_THAT_KEEP_THE_FILE = ("PreTrainedTokenizerFast", "TokenizersBackend", None)
_SPECIAL_NAMES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")


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
    merges: Annotated[list[str] | list[tuple[str, str]], Field(union_mode="left_to_right")]
    unk_token: str | None = None
    ignore_merges: bool = False
    byte_fallback: bool = False
    dropout: None = None
    continuing_subword_prefix: Literal["", None] = None
    end_of_word_suffix: Literal["", None] = None


class TokenizerDocument(BaseModel):
    """tokenizer.json without what only matters for decoding and padding."""

    # Hundreds of thousands of texts, each of which is there once: to look for it in a cache takes as long as to read it.
    model_config = ConfigDict(frozen=True, cache_strings=False)

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
    kind = _read_if_there(directory / "tokenizer_config.json").get("tokenizer_class")
    file = directory / "tokenizer.json"
    try:
        document = file.read_bytes() if kind in _CLASSES_THAT_KEEP_THE_FILE else _as_transformers_loads_it(directory)
        return TokenizerDocument.model_validate_json(document)
    except FileNotFoundError as missing:
        raise InvalidData(
            f"{directory.name}/{file.name} is missing: give the whole directory as it was saved"
        ) from missing
    except ValidationError as invalid:
        if invalid.errors()[0]["type"] == "json_invalid":
            raise InvalidData(f"{directory.name}/{file.name} is not JSON: copy it again from its source") from invalid
        raise unsupported(violations_of(invalid, file.name)) from invalid


def special_ids(directory: Path, tokenizer: TokenizerDocument, size: int) -> dict[str, int]:
    """What the configuration calls `bos`, `eos`, `pad`, …: the tokenizer's word goes before the model's.

    gguf's SpecialVocab tells the same, but reads the whole tokenizer a second time, which takes a second.
    """
    ids = {token.content: token_id for token_id, token in tokenizer.added(size).items()}
    texts = _read_if_there(directory / "tokenizer_config.json")
    numbers = _read_if_there(directory / "config.json")
    found: dict[str, int] = {}
    for name in _SPECIAL_NAMES:
        entry, number = texts.get(f"{name}_token"), numbers.get(f"{name}_token_id")
        text = entry.get("content") if isinstance(entry, dict) else entry
        if isinstance(text, str) and text in ids:
            found[name] = ids[text]
        elif isinstance(number, int) and 0 <= number < size:
            found[name] = number
    return found


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


def _read_if_there(file: Path) -> Mapping[str, Any]:
    return read_json(file) if file.exists() else {}


def _as_transformers_loads_it(directory: Path) -> str:
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
    return str(tokenizer.backend_tokenizer.to_str())
