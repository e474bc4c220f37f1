"""Knows blocks of JSON Lines in which all rows are so plain that a few counts prove them good, and gives their keys.

Plain are rows of texts and nothing else that all have the same fields. Whatever is not proven good goes row by row
through the careful reader, which explains what is wrong; a test holds the two to the same verdict.
"""

from __future__ import annotations

from functools import lru_cache
from operator import attrgetter

import msgspec
import numpy as np

from fragua_dataset.domain.profile import Shape
from fragua_dataset.domain.version_spec import VersionSpec
from fragua_dataset.ingestion.canonical import row_key
from fragua_dataset.ingestion.reading import turns
from fragua_dataset.ingestion.row_frames import NEWLINE, QUOTE, Bytes, Frame, Places
from fragua_dataset.ingestion.shapes import Example, example_from_row, shape_of, with_context

_QUESTION_AND_ANSWER: dict[Shape | None, tuple[str, str]] = {
    "alpaca": ("instruction", "output"),
    "prompt_completion": ("prompt", "completion"),
}
_CONTEXT = "input"
_FIELDS_THAT_MEAN_MORE = {"id", "metadata", "system"}
_BACKSLASH, _OPEN, _CLOSE = b"\\{}"
_NUL_ESCAPE, _BACKSLASH_AT_END = b"\\u0000", b'\\\\"'
_FROM_KEY_TO_TEXT = len('": ')
_decode_first = msgspec.json.Decoder(dict[str, str]).decode


class PlainRows:
    """Of one file: rows of the next block are most often written as those of the last one."""

    def __init__(self, spec: VersionSpec) -> None:
        self._spec = spec
        self._frame: Frame | None = None

    def keys(self, block: bytes) -> list[int] | None:
        """What `row_key` says of each row; None when it takes a closer look. The block ends with a line end."""
        content = np.frombuffer(block, np.uint8)
        quotes = np.flatnonzero(content == QUOTE)
        escapes = _BACKSLASH in block
        if not escapes and (keys := self._framed(block, content, quotes)):
            return keys
        try:
            return self._keys(block, content, quotes, escapes=escapes)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def _keys(self, block: bytes, content: Bytes, quotes: Places, *, escapes: bool) -> list[int] | None:
        line = block[: block.index(b"\n") + 1]
        row = _decode_first(line)
        shape = shape_of(row, self._spec)
        if (
            shape is None
            or shape not in _QUESTION_AND_ANSWER
            or not isinstance(example_from_row(row, self._spec), Example)
        ):
            return None
        if _FIELDS_THAT_MEAN_MORE & row.keys():
            return None
        if not escapes:
            self._frame = _frame_of(line, row, shape)
            if keys := self._framed(block, content, quotes):
                return keys
        texts = _PlainTexts.of(tuple(sorted(row)), shape)
        return texts.keys(block, content, quotes, self._spec.max_line_bytes, escapes=escapes)

    def _framed(self, block: bytes, content: Bytes, quotes: Places) -> list[int] | None:
        return self._frame.keys(block, content, quotes, self._spec.max_line_bytes) if self._frame else None


def _frame_of(line: bytes, row: dict[str, str], shape: Shape) -> Frame | None:
    """None where a field comes twice."""
    if line.count(b'"') != 4 * len(row):
        return None
    fields = list(row)
    question, answer = (fields.index(name) for name in _QUESTION_AND_ANSWER[shape])
    context = fields.index(_CONTEXT) if shape == "alpaca" and _CONTEXT in row else None
    return Frame(line, question, answer, context)


class _PlainTexts:
    """Rows of one set of fields."""

    @staticmethod
    @lru_cache(maxsize=16)
    def of(fields: tuple[str, ...], shape: Shape) -> _PlainTexts:
        return _PlainTexts(fields, shape)

    def __init__(self, fields: tuple[str, ...], shape: Shape) -> None:
        names = {name: f"field_{number}" for number, name in enumerate(fields)}
        self._fields = len(fields)
        self._parse = msgspec.json.Decoder(
            msgspec.defstruct(
                "PlainRow",
                [(attribute, str) for attribute in names.values()],
                rename={attribute: name for name, attribute in names.items()},
                forbid_unknown_fields=True,
                gc=False,
            )
        ).decode_lines
        question, answer = _QUESTION_AND_ANSWER[shape]
        self._question, self._answer = attrgetter(names[question]), attrgetter(names[answer])
        has_context = shape == "alpaca" and _CONTEXT in names
        self._context = attrgetter(names[_CONTEXT]) if has_context else None

    def keys(self, block: bytes, content: Bytes, quotes: Places, max_line: int, *, escapes: bool) -> list[int] | None:
        if escapes and (_NUL_ESCAPE in block or _BACKSLASH_AT_END in block):
            return None
        rows = self._rows_on_lines(content, max_line)
        if not rows or not self._are_texts_only(content, quotes, rows, escapes=escapes):
            return None
        parsed = self._parse(block)
        questions, answers = [*map(self._question, parsed)], [*map(self._answer, parsed)]
        if len(parsed) != rows or not all(map(str.strip, questions)) or not all(map(str.strip, answers)):
            return None
        if self._context:
            questions = [*map(with_context, questions, map(self._context, parsed))]
        return [row_key(turns("", question, answer)) for question, answer in zip(questions, answers, strict=True)]

    def _rows_on_lines(self, content: Bytes, max_line: int) -> int:
        """The number of lines, when each begins and ends as an object; 0 otherwise."""
        ends = np.flatnonzero(content == NEWLINE)
        starts = np.concatenate(([0], ends[:-1] + 1))
        good = (content[starts] == _OPEN).all() and (content[ends - 1] == _CLOSE).all()
        return len(ends) if good and (ends - starts).max() <= max_line else 0

    def _are_texts_only(self, content: Bytes, quotes: Places, rows: int, *, escapes: bool) -> bool:
        """True when every row that has all the fields has each of them once, and all are texts.

        A text takes four quotes, two for its key. A repeated key takes two more at least, and so as many quotes as
        expected there can be only where other values are no texts. Until the first of those comes, quotes follow each
        other in fours, and from its key to the next quote it is further than from a key to a text.
        """
        if escapes:
            quotes = quotes[content[quotes - 1] != _BACKSLASH]
        if len(quotes) != 4 * self._fields * rows:
            return False
        return bool((quotes[2::4] - quotes[1::4] <= _FROM_KEY_TO_TEXT).all())
