"""SentencePiece BPE, as in Llama 2, Mistral, Phi-3 and Gemma: pieces with scores, and bytes for what they do not hold.

transformers keeps these tokenizers as BPE with a list of merges. llama.cpp has no merges here: it joins neighbours
whenever the joined text is a token, the best score first. Both are the same as long as the list holds every way to
split a token into two, in the order of the tokens' scores, which is how transformers derives it from tokenizer.model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from enum import Enum, auto
from pathlib import Path
from typing import Any

import gguf
from google.protobuf.message import DecodeError

from fragua_exporter.conversion.vocabulary.document import TokenizerDocument, padding_of, type_of_added, unsupported
from fragua_exporter.conversion.vocabulary.vocabulary import Vocabulary
from fragua_platform.errors import InvalidData, Violation

_SPACE = "▁"
"""What a space is inside of pieces."""
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_SCORE_OF_ADDED = -1000.0
_SCORE_OF_PADDING = -10_000.0
_KEEP_SPACE = ("<unk>", "<s>", "<|endoftext|>")
"""The special tokens of Phi-3 behind which llama.cpp leaves white space alone."""

_REPLACE_SPACES = {"type": "Replace", "pattern": {"String": " "}, "content": _SPACE}
_PREPEND_SPACE = {"type": "Prepend", "prepend": _SPACE}


class Spaces(Enum):
    """Where a tokenizer adds a space that the text does not hold."""

    NONE = auto()
    BEFORE_THE_FIRST = auto()
    """But not behind special tokens. llama.cpp does both or neither; what a model is asked begins with such a token."""
    BEFORE_EVERY_TEXT = auto()


_METASPACE_SCHEMES = {
    "never": Spaces.NONE,
    "first": Spaces.BEFORE_THE_FIRST,
    # Not before a text that begins with a space itself, where llama.cpp adds one: the check of the file's tokens tells
    # whether the model's own turns hold such a text.
    "always": Spaces.BEFORE_EVERY_TEXT,
}


def make_vocabulary(
    tokenizer: TokenizerDocument, special_ids: Mapping[str, int], size: int, sentencepiece_file: Path
) -> Vocabulary:
    """`sentencepiece_file` need not be there: it only tells the very scores that the merges were derived from."""
    spaces, swallows_space = _recognise(tokenizer)
    texts, added = tokenizer.texts(size), tokenizer.added(size)
    scores = _scores_of_file(sentencepiece_file, tokenizer) or _scores_of_merges(tokenizer)

    def entry(token_id: int) -> tuple[str, gguf.TokenType, float]:
        text = texts.get(token_id)
        if not text:
            return padding_of(token_id), gguf.TokenType.UNUSED, _SCORE_OF_PADDING
        if text == tokenizer.model.unk_token:
            return text, gguf.TokenType.UNKNOWN, scores.get(text, 0.0)
        if token_id in added:
            kind = type_of_added(added[token_id])
            # llama.cpp looks for these in the text itself, before it writes its spaces as they are inside of pieces.
            whole = text.replace(_SPACE, " ") if kind is gguf.TokenType.USER_DEFINED else text
            return whole, kind, _SCORE_OF_ADDED
        kind = gguf.TokenType.BYTE if _BYTE.fullmatch(text) else gguf.TokenType.NORMAL
        return text, kind, scores.get(text, 0.0)

    tokens, types, token_scores = zip(*map(entry, range(size)), strict=True)
    return Vocabulary(
        kind="llama",
        pre_tokenizer="default",
        tokens=tokens,
        types=types,
        special_ids=dict(special_ids),
        scores=token_scores,
        space_prefix=spaces is Spaces.BEFORE_EVERY_TEXT,
        swallows_space=swallows_space,
    )


def _recognise(tokenizer: TokenizerDocument) -> tuple[Spaces, bool]:
    """Where spaces are added, and whether special tokens swallow them; refuses what llama.cpp cannot do."""
    problems = [
        Violation(f"tokenizer.json: added token {token.content!r}", f"{flag} is not supported")
        for token in tokenizer.added_tokens
        for flag in ("lstrip", "single_word")
        if getattr(token, flag)
    ]
    swallowing = {token.content for token in tokenizer.added_tokens if token.rstrip}
    all_of_them = {token.content for token in tokenizer.added_tokens} | {tokenizer.model.unk_token}
    if swallowing and not (swallowing == all_of_them - set(_KEEP_SPACE) and {"</s>", *_KEEP_SPACE} <= all_of_them):
        problems.append(
            Violation(
                "tokenizer.json: added_tokens", "rstrip is only supported on the very tokens that have it in Phi-3"
            )
        )
    if tokenizer.model.ignore_merges:
        problems.append(Violation("tokenizer.json: model.ignore_merges", "is not supported beside byte_fallback"))
    missing = [byte for byte in range(256) if f"<0x{byte:02X}>" not in tokenizer.model.vocab]
    if missing:
        problems.append(Violation("tokenizer.json: model.vocab", f"has no token for {len(missing)} of the 256 bytes"))
    spaces = _spaces_of(tokenizer.normalizer, tokenizer.pre_tokenizer)
    if spaces is None:
        problems.append(
            Violation("tokenizer.json: normalizer", "treats white space or text as llama.cpp's SentencePiece does not")
        )
    if problems or spaces is None:
        raise unsupported(problems)
    return spaces, bool(swallowing)


def _spaces_of(normalizer: Any, pre_tokenizer: Any) -> Spaces | None:
    """None for everything that llama.cpp does not do, such as dropping a second space or composing letters."""
    match normalizer, pre_tokenizer:
        case {"type": "Sequence", "normalizers": [first, second]}, None:
            return Spaces.BEFORE_EVERY_TEXT if (first, second) == (_PREPEND_SPACE, _REPLACE_SPACES) else None
        # Gemma splits at spaces, but after the replacement there is none left.
        case {"type": "Replace"}, None | {"type": "Split", "pattern": {"String": " "}}:
            return Spaces.NONE if normalizer == _REPLACE_SPACES else None
        case None, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": str(scheme), "split": False}:
            return _METASPACE_SCHEMES.get(scheme)
    return None


def _scores_of_file(file: Path, tokenizer: TokenizerDocument) -> dict[str, float]:
    """Empty when there is no such file, or when it is not the one of this tokenizer."""
    if not file.exists():
        return {}
    # Imported late: it registers a protobuf schema.
    from transformers.utils import sentencepiece_model_pb2_new

    # The names in a generated module come to be when it is loaded.
    schema: Any = sentencepiece_model_pb2_new
    model = schema.ModelProto()
    try:
        model.ParseFromString(file.read_bytes())
    except DecodeError as broken:
        raise InvalidData(f"{file.parent.name}/{file.name} is damaged: copy it again from its source") from broken
    scores = {piece.piece: float(piece.score) for piece in model.pieces}
    return scores if tokenizer.model.vocab.keys() <= scores.keys() else {}


def _scores_of_merges(tokenizer: TokenizerDocument) -> dict[str, float]:
    """Scores under which joining by score is joining by merges: a token is as good as its first merge is early."""
    merges = {tuple(m.split(" ")) if isinstance(m, str) else m: None for m in tokenizer.model.merges}
    unlisted = _unlisted_merges(tokenizer, merges.keys())
    if unlisted:
        left, right = unlisted[0]
        more = f"leaves out {len(unlisted)} ways to join its tokens, such as {left!r} + {right!r}"
        raise unsupported([Violation("tokenizer.json: model.merges", f"{more}, which llama.cpp would take")])
    scores: dict[str, float] = {}
    for left, right in merges:
        scores.setdefault(left + right, -float(len(scores)))
    return dict.fromkeys(tokenizer.model.vocab, -float(len(scores))) | scores


def _unlisted_merges(tokenizer: TokenizerDocument, listed: Set[tuple[str, ...]]) -> list[tuple[str, str]]:
    """Pairs of tokens whose joined text is a token, which llama.cpp would join and transformers not."""
    added = {token.content for token in tokenizer.added_tokens}
    pieces = {text for text in tokenizer.model.vocab if text not in added and not _BYTE.fullmatch(text)}
    return [
        (left, right)
        for text in pieces
        for left, right in ((text[:cut], text[cut:]) for cut in range(1, len(text)))
        if left in pieces and right in pieces and (left, right) not in listed
    ]
