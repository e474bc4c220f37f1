"""Byte-level BPE, as in GPT-2, Llama 3 and Qwen: the splitter must be one that llama.cpp has compiled in.

llama.cpp picks its splitter by name. A wrong name is not noticed by anything: the file loads and answers, with other
tokens than those the model was trained on. So the name is derived from the splitting pattern itself, and a pattern that
is not in the table is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gguf

from fragua_exporter.conversion.vocabulary.document import (
    TokenizerDocument,
    padding_of,
    type_of_added,
    unsupported,
)
from fragua_exporter.conversion.vocabulary.vocabulary import Vocabulary
from fragua_platform.errors import Violation

_LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN_2 = _LLAMA_3.replace(r"\p{N}{1,3}", r"\p{N}")
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_GPT_4O = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTION}|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTION}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_GPT_2 = "GPT-2's own pattern"
"""The tokenizers library has it built in, and so its name stands for it here."""

PRE_TOKENIZERS: Mapping[tuple[str, bool], str] = {
    (_LLAMA_3, True): "llama-bpe",
    # The same splitter, but llama-bpe also takes a whole word from the vocabulary before it tries any merge.
    (_LLAMA_3, False): "smaug-bpe",
    (_QWEN_2, False): "qwen2",
    (_TEKKEN, True): "tekken",
    (_GPT_4O, False): "gpt-4o",
    (_GPT_2, False): "gpt-2",
}
"""llama.cpp's name of a splitter, by (pattern, ignore_merges) of tokenizer.json."""


def make_vocabulary(
    tokenizer: TokenizerDocument, special_ids: Mapping[str, int], size: int, foreign: bool = False
) -> Vocabulary:
    name = "" if foreign else _recognise(tokenizer)
    texts, added = tokenizer.texts(size), tokenizer.added(size)

    def type_of(token_id: int) -> gguf.TokenType:
        if token_id not in texts:
            return gguf.TokenType.UNUSED
        return type_of_added(added[token_id]) if token_id in added else gguf.TokenType.NORMAL

    return Vocabulary(
        kind="gpt2",
        pre_tokenizer=name,
        tokens=tuple(texts.get(token_id) or padding_of(token_id) for token_id in range(size)),
        types=tuple(map(type_of, range(size))),
        special_ids=dict(special_ids),
        merges=tuple(merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer.model.merges),
    )


def split_pattern(pre_tokenizer: Any) -> str | None:
    """The pattern of the forms whose behaviour is the pattern's alone."""
    match pre_tokenizer:
        case {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}:
            return _GPT_2
        case {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": str(pattern)}, "behavior": "Isolated", "invert": False},
                {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
            ],
        }:
            return pattern
    return None


def _recognise(tokenizer: TokenizerDocument) -> str:
    """Name the splitter, or refuse the tokenizer with everything in it that llama.cpp would do otherwise."""
    problems = [
        Violation(f"tokenizer.json: added token {token.content!r}", f"{flag} is not supported")
        for token in tokenizer.added_tokens
        for flag in ("lstrip", "rstrip", "single_word")
        if getattr(token, flag)
    ]
    # llama.cpp does not normalise. NFC is let through because composed text, what keyboards send, is NFC already.
    if tokenizer.normalizer not in (None, {"type": "NFC"}):
        problems.append(Violation("tokenizer.json: normalizer", "changes text; only none and NFC are supported"))
    name = PRE_TOKENIZERS.get((split_pattern(tokenizer.pre_tokenizer) or "", tokenizer.model.ignore_merges))
    if name is None:
        known = ", ".join(PRE_TOKENIZERS.values())
        problems.append(Violation("tokenizer.json: pre_tokenizer", f"unknown splitter; supported are those of {known}"))
    if problems or name is None:
        raise unsupported(problems)
    return name
