"""Carries a byte-level BPE tokenizer from tokenizer.json into GGUF metadata, or refuses it by name.

llama.cpp has its word splitters compiled in and picks one by name. A wrong name is not noticed by anything: the file
loads and answers, with other tokens than those the model was trained on. So the name is derived from the splitting
pattern itself, and a pattern that is not in the table is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import gguf
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fragua_exporter.conversion.checkpoint import read_json
from fragua_exporter.domain.export_spec import violations_of
from fragua_platform.errors import InvalidInput, Violation

_LLAMA_3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN_2_PATTERN = _LLAMA_3_PATTERN.replace(r"\p{N}{1,3}", r"\p{N}")

PRE_TOKENIZERS: Mapping[tuple[str, bool], str] = {
    (_LLAMA_3_PATTERN, True): "llama-bpe",
    # The same splitter, but llama-bpe also takes a whole word from the vocabulary before it tries any merge.
    (_LLAMA_3_PATTERN, False): "smaug-bpe",
    (_QWEN_2_PATTERN, False): "qwen2",
}
"""llama.cpp's name of a splitter, by (pattern, ignore_merges) of tokenizer.json."""


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
    ignore_merges: bool = False
    byte_fallback: Literal[False] = False


class TokenizerDocument(BaseModel):
    """The part of tokenizer.json that decides about tokens."""

    model_config = ConfigDict(frozen=True)

    model: BpeModel
    added_tokens: tuple[AddedToken, ...] = ()
    # llama.cpp does not normalise. NFC is let through because composed text, what keyboards send, is NFC already.
    normalizer: dict[Literal["type"], Literal["NFC"]] | None = None
    pre_tokenizer: Any = None

    @property
    def split_pattern(self) -> str | None:
        """The pattern of `Sequence(Split(pattern), ByteLevel)`, the only form whose behaviour is the pattern's alone."""
        match self.pre_tokenizer:
            case {
                "type": "Sequence",
                "pretokenizers": [
                    {"type": "Split", "pattern": {"Regex": str(pattern)}, "behavior": "Isolated", "invert": False},
                    {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
                ],
            }:
                return pattern
        return None


@dataclass(frozen=True)
class Vocabulary:
    pre_tokenizer: str
    tokens: tuple[str, ...]
    """By id; as many as the embedding has rows."""
    types: tuple[gguf.TokenType, ...]
    merges: tuple[str, ...]
    special_ids: Mapping[str, int]
    """`bos`, `eos`, `pad`, … as the tokenizer's configuration names them."""

    def control_id(self, token: str) -> int | None:
        """The id of a token that text can hold as one piece, None when the tokenizer would split it."""
        whole = (gguf.TokenType.CONTROL, gguf.TokenType.USER_DEFINED)
        return next((i for i, t in enumerate(self.tokens) if t == token and self.types[i] in whole), None)

    def write_metadata(self, writer: gguf.GGUFWriter) -> None:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(self.pre_tokenizer)
        writer.add_token_list(self.tokens)
        writer.add_token_types(self.types)
        writer.add_token_merges(self.merges)
        for name, token_id in sorted(self.special_ids.items()):
            writer.add_uint32(f"tokenizer.ggml.{_GGUF_NAMES.get(name, name)}_token_id", token_id)
        # The model was trained on what its chat template prints and nothing else; llama.cpp must not add to it.
        writer.add_add_bos_token(False)
        writer.add_add_eos_token(False)


_GGUF_NAMES = {"unk": "unknown", "sep": "seperator", "pad": "padding"}
"""As llama.cpp spells them."""


def load_vocabulary(directory: Path, size: int) -> Vocabulary:
    """Read the tokenizer of a base model whose embedding has `size` rows."""
    tokenizer, pre_tokenizer = _recognise(read_json(directory / "tokenizer.json"))
    added = {token.id: token for token in tokenizer.added_tokens}
    texts = {token_id: text for text, token_id in tokenizer.model.vocab.items()}
    texts |= {token_id: token.content for token_id, token in added.items()}
    if max(texts, default=-1) >= size:
        raise InvalidInput(
            f"base model: tokenizer.json has token id {max(texts)}, but the embedding has only {size} rows; "
            "give the tokenizer that was saved with this base",
            reason="UNSUPPORTED_TOKENIZER",
        )

    def type_of(token_id: int) -> gguf.TokenType:
        if token_id not in texts:
            return gguf.TokenType.UNUSED
        if token_id not in added:
            return gguf.TokenType.NORMAL
        return gguf.TokenType.CONTROL if added[token_id].special else gguf.TokenType.USER_DEFINED

    special = gguf.SpecialVocab(directory, load_merges=True, n_vocab=size)
    return Vocabulary(
        pre_tokenizer=pre_tokenizer,
        # Embeddings are often padded to a round number of rows; llama.cpp wants a distinct text for each.
        tokens=tuple(texts.get(token_id, f"[PAD{token_id}]") for token_id in range(size)),
        types=tuple(type_of(token_id) for token_id in range(size)),
        merges=tuple(special.merges),
        special_ids=dict(special.special_token_ids),
    )


def _recognise(document: Mapping[str, Any]) -> tuple[TokenizerDocument, str]:
    """Name the pre-tokenizer, or refuse the tokenizer with everything in it that llama.cpp would do otherwise."""
    try:
        tokenizer = TokenizerDocument.model_validate(document)
    except ValidationError as invalid:
        raise _unsupported(violations_of(invalid, "tokenizer.json")) from invalid
    problems = [
        Violation(f"tokenizer.json: added token {token.content!r}", f"{flag} is not supported")
        for token in tokenizer.added_tokens
        for flag in ("lstrip", "rstrip", "single_word")
        if getattr(token, flag)
    ]
    name = PRE_TOKENIZERS.get((tokenizer.split_pattern or "", tokenizer.model.ignore_merges))
    if name is None:
        known = ", ".join(PRE_TOKENIZERS.values())
        problems.append(Violation("tokenizer.json: pre_tokenizer", f"unknown splitter; supported are those of {known}"))
    if problems or name is None:
        raise _unsupported(problems)
    return tokenizer, name


def _unsupported(problems: Sequence[Violation]) -> InvalidInput:
    return InvalidInput(
        "base model: llama.cpp would split text into other tokens than this tokenizer; "
        "use a base with a Llama 3 or Qwen 2 tokenizer",
        violations=problems,
        reason="UNSUPPORTED_TOKENIZER",
    )
