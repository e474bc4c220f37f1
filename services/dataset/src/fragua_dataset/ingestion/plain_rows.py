"""Knows blocks of JSON Lines in which all rows are so plain that a few counts prove them good, and gives their keys.

Plain are rows of texts and nothing else that all have the same fields. Whatever is not proven good goes row by row
through the careful reader, which explains what is wrong; a test holds the two to the same verdict. In a block without
escapes the texts are not even built: their bytes are what would be hashed.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import repeat
from operator import attrgetter
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from fragua_dataset.domain.profile import Shape
from fragua_dataset.domain.version_spec import VersionSpec
from fragua_dataset.ingestion.canonical import hash_json, row_key
from fragua_dataset.ingestion.reading import turns
from fragua_dataset.ingestion.shapes import Example, example_from_row, shape_of, with_context

_Bytes: TypeAlias = NDArray[np.uint8]

_QUESTION_AND_ANSWER: dict[Shape | None, tuple[str, str]] = {
    "alpaca": ("instruction", "output"),
    "prompt_completion": ("prompt", "completion"),
}
_CONTEXT = "input"
_FIELDS_THAT_MEAN_MORE = {"id", "metadata", "system"}
_QUOTE, _BACKSLASH, _NEWLINE, _OPEN, _CLOSE = b'"\\\n{}'
_NUL_ESCAPE, _BACKSLASH_AT_END = b"\\u0000", b'\\\\"'
_FROM_KEY_TO_TEXT = len('": ')
_may_be_blank = re.compile(rb'"[^!-~]*"').match
"""Nothing of ASCII can be seen between the quotes."""
_is_not_empty = re.compile(rb'"[^"]').match
_decode_first = msgspec.json.Decoder(dict[str, str]).decode


def keys_of_plain_rows(block: bytes, spec: VersionSpec) -> list[int] | None:
    """What `row_key` says of each row; None when it takes a closer look. The block ends with a line end."""
    try:
        row = _decode_first(block[: block.index(b"\n")])
        shape = shape_of(row, spec)
        if shape not in _QUESTION_AND_ANSWER or not isinstance(example_from_row(row, spec), Example):
            return None
        texts = _PlainTexts.of(tuple(sorted(row)), shape)
        return texts.keys(block, spec.max_line_bytes) if texts else None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


class _PlainTexts:
    """Rows of one set of fields."""

    @staticmethod
    @lru_cache(maxsize=16)
    def of(fields: tuple[str, ...], shape: Shape) -> _PlainTexts | None:
        return None if _FIELDS_THAT_MEAN_MORE & set(fields) else _PlainTexts(fields, shape)

    def __init__(self, fields: tuple[str, ...], shape: Shape) -> None:
        names = {name: f"field_{number}" for number, name in enumerate(fields)}
        self._fields = len(fields)
        self._parse_texts, self._parse_bytes = (
            msgspec.json.Decoder(
                msgspec.defstruct(
                    "PlainRow",
                    [(attribute, kind) for attribute in names.values()],
                    rename={attribute: name for name, attribute in names.items()},
                    forbid_unknown_fields=True,
                    gc=False,
                )
            ).decode_lines
            for kind in (str, msgspec.Raw)
        )
        question, answer = _QUESTION_AND_ANSWER[shape]
        self._question, self._answer = attrgetter(names[question]), attrgetter(names[answer])
        has_context = shape == "alpaca" and _CONTEXT in names
        self._context = attrgetter(names[_CONTEXT]) if has_context else None

    def keys(self, block: bytes, max_line: int) -> list[int] | None:
        content = np.frombuffer(block, np.uint8)
        escapes = _BACKSLASH in block
        if escapes and (_NUL_ESCAPE in block or _BACKSLASH_AT_END in block):
            return None
        rows = self._rows_on_lines(content, max_line)
        if not rows or not self._are_texts_only(content, rows, escapes):
            return None
        keys = None if escapes else self._keys_of_bytes(block, content, rows)
        return keys or self._keys_of_texts(block, rows)

    def _rows_on_lines(self, content: _Bytes, max_line: int) -> int:
        """The number of lines, when each begins and ends as an object; 0 otherwise."""
        ends = np.flatnonzero(content == _NEWLINE)
        starts = np.concatenate(([0], ends[:-1] + 1))
        good = (content[starts] == _OPEN).all() and (content[ends - 1] == _CLOSE).all()
        return len(ends) if good and (ends - starts).max() <= max_line else 0

    def _are_texts_only(self, content: _Bytes, rows: int, escapes: bool) -> bool:
        """True when every row that has all the fields has each of them once, and all are texts.

        A text takes four quotes, two for its key. A repeated key takes two more at least, and so as many quotes as
        expected there can be only where other values are no texts. Until the first of those comes, quotes follow each
        other in fours, and from its key to the next quote it is further than from a key to a text.
        """
        quotes = np.flatnonzero(content == _QUOTE)
        if escapes:
            quotes = quotes[content[quotes - 1] != _BACKSLASH]
        if len(quotes) != 4 * self._fields * rows:
            return False
        return bool((quotes[2::4] - quotes[1::4] <= _FROM_KEY_TO_TEXT).all())

    def _keys_of_bytes(self, block: bytes, content: _Bytes, rows: int) -> list[int] | None:
        """For texts that are written as we would write them."""
        parsed = self._parse_bytes(block)
        questions, answers = [*map(self._question, parsed)], [*map(self._answer, parsed)]
        if len(parsed) != rows or not _is_utf8(block, content):
            return None
        if self._context and any(map(_is_not_empty, map(self._context, parsed))):
            return None
        if any(map(_may_be_blank, questions)) or any(map(_may_be_blank, answers)):
            return None
        return [*map(hash_json, answers, map(hash_json, questions, repeat(0)))]

    def _keys_of_texts(self, block: bytes, rows: int) -> list[int] | None:
        parsed = self._parse_texts(block)
        questions, answers = [*map(self._question, parsed)], [*map(self._answer, parsed)]
        if len(parsed) != rows or not all(map(str.strip, questions)) or not all(map(str.strip, answers)):
            return None
        if self._context:
            questions = [*map(with_context, questions, map(self._context, parsed))]
        return [row_key(turns("", question, answer)) for question, answer in zip(questions, answers, strict=True)]


def _is_utf8(block: bytes, content: _Bytes) -> bool:
    """Fast where all letters are of Western Europe: one byte, or two of which the first is C2 to DF."""
    if content.max() < 0xE0:
        leads = content - np.uint8(0xC2) < 0x1E
        follows = content.view(np.int8) < -64
        return bool((leads[:-1] == follows[1:]).all())
    # UnicodeDecodeError is for the caller, as that of the parser is.
    return bool(block.decode("utf-8"))
