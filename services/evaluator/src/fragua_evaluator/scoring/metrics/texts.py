"""Compares an answer with the expected one as texts."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

import regex

MAX_CHRF_CHARS = 2_000_000
"""Of answer and expected answer together; counting takes about 2 s and 100 MiB for a million of them."""


_MANY_MARKS = regex.compile(r"(\p{M}{30})(?=\p{M})")
"""Where Unicode's stream-safe form (UAX 15) has a joiner, which ends a run of marks."""


class TooLong(ValueError):
    """The answer has more characters than the metric counts."""


def exact_match(answer: str, expected: str) -> float:
    return float(_plain(answer) == _plain(expected))


def contains(answer: str, expected: str) -> float:
    return float(_plain(expected).casefold() in _plain(answer).casefold())


def token_f1(answer: str, expected: str) -> float:
    mine, theirs = _tokens(answer), _tokens(expected)
    shared = (Counter(mine) & Counter(theirs)).total()
    return _f1(shared, len(mine), len(theirs))


def rouge_l(answer: str, expected: str) -> float:
    """Lin's ROUGE-L with β = 1 over words: any letters count, not only those of English, and no stemmer is at work."""
    from rapidfuzz.distance import LCSseq

    mine, theirs = _words(answer), _words(expected)
    return _f1(LCSseq.similarity(mine, theirs), len(mine), len(theirs))


def chrf(answer: str, expected: str) -> float:
    """Raises TooLong."""
    from sacrebleu.metrics.chrf import CHRF

    if len(answer) + len(expected) > MAX_CHRF_CHARS:
        raise TooLong(f"{len(answer)} characters; chrf counts at most {MAX_CHRF_CHARS}")
    score: float = CHRF().sentence_score(_plain(answer), [_plain(expected)]).score / 100
    return min(max(score, 0.0), 1.0)


def _plain(text: str) -> str:
    """One way to write what reads the same: composed accents, single spaces."""
    # Marks without end over one letter take quadratic time to put in order; no language has more than a few.
    safe = _MANY_MARKS.sub("\\1\N{COMBINING GRAPHEME JOINER}", text)
    return " ".join(unicodedata.normalize("NFC", safe).split())


def _tokens(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", _plain(text).casefold())


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", _plain(text).casefold())


def _f1(shared: int, mine: int, theirs: int) -> float:
    # 2PR / (P + R), written so that nothing is divided by zero.
    return 2 * shared / (mine + theirs) if shared else 0.0
