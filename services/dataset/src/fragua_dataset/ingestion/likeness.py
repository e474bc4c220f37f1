"""What the likeness of texts is measured by: their word triples, as 64-bit numbers, of many texts at once.

Words are runs of letters, marks, digits and underscores, compared after NFKC and case folding: accents count, while
punctuation, symbols and emoji do not. In scripts that put no spaces between words, every character is a word.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import accumulate
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[np.uint64]

PIECE_CHARACTERS = 2**17
"""How much text is worked on at once: enough for numpy to be worth calling, little enough for the processor's cache."""
_PIECE_TEXTS = 256

_UNSURE = 2**31
"""Marks a character that becomes several when normalised, or one with its neighbour."""
_ALONE = 2**30
"""Marks a character that is a word by itself."""
_LAST_IDEOGRAPH = 0x323AF
_SCRIPTS_WITHOUT_SPACES = {
    "Thai and Lao": (0x0E00, 0x0EFF),
    "Myanmar": (0x1000, 0x109F),
    "Khmer": (0x1780, 0x17FF),
    "Hiragana and Katakana": (0x3040, 0x30FF),
    "ideographs": (0x3400, 0x9FFF),
    "compatibility ideographs": (0xF900, 0xFAFF),
    "rare ideographs": (0x20000, _LAST_IDEOGRAPH),
}
# They tell how the character before them looks: an emoji in colour stays an emoji.
_VARIATION_SELECTORS = frozenset(map(chr, range(0xFE00, 0xFE10)))
# Conjoining vowels and final consonants are no marks, yet make one character with what stands before them.
_HANGUL_THAT_JOINS = frozenset(map(chr, range(0x1160, 0x1200)))

# Odd, so that powers of the first have inverses modulo 2**64, and without pattern in their bits.
_FACTORS = tuple(np.uint64(factor) for factor in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))


def word_triples(texts: Sequence[str]) -> tuple[Numbers, NDArray[np.intp]]:
    """The triples of all texts, one text's after the other's with their repeats, and how many each text has.

    A text of fewer than three words has none. The caller bounds how much is asked for at once (see `in_pieces`).
    """
    words, word_counts = _words(texts)
    counts = np.maximum(word_counts - 2, 0)
    if counts.sum() == 0:
        return np.empty(0, np.uint64), counts
    triples = words[:-2] * _FACTORS[0]
    triples += words[1:-1] * _FACTORS[1]
    triples += words[2:] * _FACTORS[2]
    mix(triples)
    in_one_text = np.ones(len(words), np.bool_)
    ends = np.cumsum(word_counts)
    in_one_text[ends[word_counts >= 1] - 1] = False
    in_one_text[ends[word_counts >= 2] - 2] = False
    return triples[in_one_text[:-2]], counts


def in_pieces(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """The texts in runs of about one piece; a text that is longer by itself is a run of one."""
    start = length = 0
    for index, text in enumerate(texts):
        if index > start and (length + len(text) > PIECE_CHARACTERS or index - start == _PIECE_TEXTS):
            yield texts[start:index]
            start, length = index, 0
        length += len(text)
    if start < len(texts):
        yield texts[start:]


def mix(numbers: Numbers) -> None:
    """Make every bit depend on all bits, in place: sums and products alone leave the low bits poor."""
    numbers ^= numbers >> np.uint64(32)
    numbers *= _FACTORS[0]
    numbers ^= numbers >> np.uint64(29)


def _words(texts: Sequence[str]) -> tuple[Numbers, NDArray[np.intp]]:
    """The words of all texts as numbers, and how many each text has."""
    parts = [[text] if len(text) <= PIECE_CHARACTERS else list(_parts(text)) for text in texts]
    found = [_words_of_piece(piece) for piece in in_pieces([part for of_text in parts for part in of_text])]
    if not found:
        return np.empty(0, np.uint64), np.zeros(0, np.intp)
    words = np.concatenate([words for words, _ in found])
    counts = np.concatenate([counts for _, counts in found])
    firsts = [0, *accumulate(map(len, parts))][:-1]
    return words, np.add.reduceat(counts, firsts)


def _parts(text: str) -> Iterator[str]:
    """The text, cut between words where it is longer than a piece; a word that long is cut itself."""
    start = 0
    while len(text) - start > PIECE_CHARACTERS:
        end = start + PIECE_CHARACTERS
        blank = max(text.rfind(" ", start, end), text.rfind("\n", start, end))
        end = blank + 1 if blank >= start else end
        yield text[start:end]
        start = end
    yield text[start:]


def _words_of_piece(texts: Sequence[str]) -> tuple[Numbers, NDArray[np.intp]]:
    letters, ends = _letters(texts)
    joined = letters != 0
    alone = letters >= _ALONE
    joined &= ~alone
    begins = joined.copy()
    begins[1:] &= ~joined[:-1]
    begins |= alone
    at = np.flatnonzero(begins)
    if len(at) == 0:
        return np.empty(0, np.uint64), np.zeros(len(texts), np.intp)
    # A word is the polynomial of its letters. Each letter times the power that belongs to its place in the piece, and
    # the sums up to there, give all words at once; the power of the place where a word begins is then divided out.
    powers, inverses = _powers(len(letters))
    terms = letters * powers
    sums = np.cumsum(terms)
    words = np.diff(sums[at] - terms[at], append=sums[-1:])
    words *= inverses[at]
    mix(words)
    return words, np.diff(np.searchsorted(at, ends), prepend=0)


def _letters(texts: Sequence[str]) -> tuple[NDArray[np.uint32], list[int]]:
    """Each character of the texts as its folded form, 0 where no word is, and where each text ends."""
    letters = _look_up(texts)
    if letters.max(initial=0) >= _UNSURE:
        texts = [unicodedata.normalize("NFKC", text).casefold() for text in texts]
        letters = _look_up(texts) & np.uint32(_UNSURE - 1)
    return letters, list(accumulate(len(text) + 1 for text in texts))


def _look_up(texts: Sequence[str]) -> NDArray[np.uint32]:
    characters = np.frombuffer("\n".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
    return _alphabet().take(characters)


@cache
def _alphabet() -> NDArray[np.uint32]:
    """By code point: 0 for what is in no word, else its folded form, and the marks above."""
    alphabet = np.zeros(0x110000, np.uint32)
    alphabet[: _LAST_IDEOGRAPH + 1] = [_letter(chr(point)) for point in range(_LAST_IDEOGRAPH + 1)]
    for first, last in _SCRIPTS_WITHOUT_SPACES.values():
        script = alphabet[first : last + 1]
        script[script != 0] |= _ALONE
    return alphabet


def _letter(character: str) -> int:
    folded = unicodedata.normalize("NFKC", character).casefold()
    if len(folded) != 1:
        return _UNSURE | (ord(character) if character.isalnum() else 0)
    if folded in _VARIATION_SELECTORS:
        return 0
    if folded in _HANGUL_THAT_JOINS or unicodedata.category(folded).startswith("M"):
        return _UNSURE | ord(folded)
    return ord(folded) if folded.isalnum() or folded == "_" else 0


@cache
def _powers_up_to(length: int) -> tuple[Numbers, Numbers]:
    inverse = np.uint64(pow(int(_FACTORS[1]), -1, 2**64))
    powers, inverses = (
        np.cumprod(np.concatenate([[np.uint64(1)], np.full(length - 1, base)])) for base in (_FACTORS[1], inverse)
    )
    return powers, inverses


def _powers(length: int) -> tuple[Numbers, Numbers]:
    """Powers modulo 2**64, and those of the inverse."""
    # Normalising lengthens some texts, up to 18 times: only a few sizes are ever made, so that they can be kept.
    powers, inverses = _powers_up_to(max(2 * PIECE_CHARACTERS, 1 << (length - 1).bit_length()))
    return powers[:length], inverses[:length]
