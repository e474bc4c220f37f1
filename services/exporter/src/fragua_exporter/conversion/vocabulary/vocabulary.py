"""What llama.cpp is told about tokens, whichever kind of tokenizer they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import gguf

_GGUF_NAMES = {"unk": "unknown", "sep": "seperator", "pad": "padding"}
"""As llama.cpp spells them."""


@dataclass(frozen=True)
class Vocabulary:
    kind: Literal["gpt2", "llama"]
    """llama.cpp's names of its two ways to tokenize: byte-level BPE by merges, SentencePiece BPE by scores."""
    pre_tokenizer: str
    tokens: tuple[str, ...]
    """By id; as many as the embedding has rows."""
    types: tuple[gguf.TokenType, ...]
    special_ids: Mapping[str, int]
    """`bos`, `eos`, `pad`, … as the tokenizer's configuration names them."""
    merges: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    space_prefix: bool = False
    """llama.cpp puts a space before a text and after every special token."""
    swallows_space: bool = False
    """White space behind special tokens is dropped, as Phi-3 does."""

    def control_id(self, token: str) -> int | None:
        """The id of a token that text can hold as one piece, None when the tokenizer would split it."""
        whole = (gguf.TokenType.CONTROL, gguf.TokenType.USER_DEFINED)
        return next((i for i, t in enumerate(self.tokens) if t == token and self.types[i] in whole), None)

    def write_metadata(self, writer: gguf.GGUFWriter) -> None:
        writer.add_tokenizer_model(self.kind)
        writer.add_tokenizer_pre(self.pre_tokenizer)
        writer.add_token_list(self.tokens)
        writer.add_token_types(self.types)
        if self.kind == "gpt2":
            writer.add_token_merges(self.merges)
        else:
            writer.add_token_scores(self.scores)
            writer.add_add_space_prefix(self.space_prefix)
        for name, token_id in sorted(self.special_ids.items()):
            writer.add_uint32(f"tokenizer.ggml.{_GGUF_NAMES.get(name, name)}_token_id", token_id)
        # The model was trained on what its chat template prints and nothing else; llama.cpp must not add to it.
        writer.add_add_bos_token(False)
        writer.add_add_eos_token(False)
        if self.swallows_space:
            # There is no other way to say so: llama.cpp looks for "phi-3" in the name. Files without such tokens must
            # not have it there, or they do not even load.
            writer.add_name("phi-3")
