"""Carries a tokenizer into GGUF metadata so that llama.cpp splits every text as training did, or refuses it by name."""

from __future__ import annotations

from pathlib import Path

from fragua_exporter.conversion.vocabulary import byte_level, sentencepiece
from fragua_exporter.conversion.vocabulary.byte_level import PRE_TOKENIZERS
from fragua_exporter.conversion.vocabulary.document import read_tokenizer, special_ids
from fragua_exporter.conversion.vocabulary.vocabulary import Vocabulary

__all__ = ["PRE_TOKENIZERS", "Vocabulary", "load_vocabulary"]


def load_vocabulary(directory: Path, size: int, foreign: bool = False) -> Vocabulary:
    """Read the tokenizer of a base model whose embedding has `size` rows.

    `foreign`: another converter writes it, and all we need are its tokens; any splitter will do.
    """
    tokenizer = read_tokenizer(directory)
    ids = special_ids(directory, tokenizer, size)
    if tokenizer.model.byte_fallback and not foreign:
        return sentencepiece.make_vocabulary(tokenizer, ids, size, directory / "tokenizer.model")
    return byte_level.make_vocabulary(tokenizer, ids, size, foreign)
