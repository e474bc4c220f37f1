"""Knows rows of texts that are all written alike by what is around their texts, and gives their keys without parsing them.

The frame of a row is everything but what is between the quotes of its texts: braces, names of fields, white space. Where
every row of a block has the frame of one that is known to be good, and no text holds a quote, an escape or a control
character, all of them are good JSON with the same fields, and what is between the quotes is what would be hashed.
"""

from __future__ import annotations

import re
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fragua_dataset.ingestion.canonical import hash_json

Bytes: TypeAlias = NDArray[np.uint8]
Places: TypeAlias = NDArray[np.intp]

QUOTE, NEWLINE = b'"\n'
_BLANK, _DELETE = b" \x7f"
_QUOTES_OF_A_FIELD = 4
"""Two for its name, two for its text."""
_may_be_blank = re.compile(rb'"[^!-~]*"').match
"""Nothing of ASCII can be seen between the quotes."""


class Frame:
    def __init__(self, line: bytes, question: int, answer: int, context: int | None) -> None:
        """`line` is a good row without escapes, and its line end; the numbers are places of its fields, from 0."""
        content = np.frombuffer(line, np.uint8)
        quotes = np.flatnonzero(content == QUOTE)
        self._quotes = len(quotes)
        self._question, self._answer = (_QUOTES_OF_A_FIELD * field + 2 for field in (question, answer))
        self._context = None if context is None else _QUOTES_OF_A_FIELD * context + 2
        # What belongs to the frame is told by how far it is from the quote at which its piece ends or, behind the last
        # text, begins.
        opens, closes = quotes[2::_QUOTES_OF_A_FIELD], quotes[3::_QUOTES_OF_A_FIELD]
        begins = np.concatenate(([0], closes[:-1]))
        self._spans = (opens - begins)[1:]
        self._before_first = int(opens[0])
        self._behind_last = len(line) - 1 - int(closes[-1])
        lengths = opens - begins + 1
        columns = [np.repeat(np.arange(2, self._quotes, _QUOTES_OF_A_FIELD), lengths)]
        offsets = [np.arange(1 - length, 1) for length in lengths.tolist()]
        self._columns = np.concatenate([*columns, np.full(self._behind_last + 1, self._quotes - 1)])
        self._offsets = np.concatenate([*offsets, np.arange(self._behind_last + 1)])
        self._expected = content[quotes[self._columns] + self._offsets].copy()

    def keys(self, block: bytes, content: Bytes, quotes: Places, max_line: int) -> list[int] | None:
        """What `row_key` says of each row; None where it takes a closer look. The block has no backslash."""
        rows, left = divmod(len(quotes), self._quotes)
        # A line end is the only control character of a row.
        if left or rows == 0 or rows != np.count_nonzero(content < _BLANK):
            return None
        quotes = quotes.reshape(rows, self._quotes)
        if not self._is_around_all(content, quotes, max_line) or not is_utf8(block, content):
            return None
        if self._context and (quotes[:, self._context + 1] - quotes[:, self._context] > 1).any():
            return None
        if not all(_say_something(block, content, quotes[:, text]) for text in (self._question, self._answer)):
            return None
        places = [(quotes[:, text + end] + end).tolist() for text in (self._question, self._answer) for end in (0, 1)]
        return [
            hash_json(block[answer:answer_end], hash_json(block[question:question_end], 0))
            for question, question_end, answer, answer_end in zip(*places, strict=True)
        ]

    def _is_around_all(self, content: Bytes, quotes: Places, max_line: int) -> bool:
        ends = quotes[:, -1] + self._behind_last
        starts = quotes[:, 2] - self._before_first
        if starts[0] != 0 or ends[-1] != len(content) - 1 or (starts[1:] != ends[:-1] + 1).any():
            return False
        spans = quotes[:, 6::_QUOTES_OF_A_FIELD] - quotes[:, 3:-1:_QUOTES_OF_A_FIELD]
        if (spans != self._spans).any() or (max_line < len(content) and (ends - starts).max() > max_line):
            return False
        return bool((content[quotes[:, self._columns] + self._offsets] == self._expected).all())


def _say_something(block: bytes, content: Bytes, begins: Places) -> bool:
    """True when no text is blank; `begins` are their opening quotes."""
    visible = np.zeros(len(begins), np.bool_)
    goes_on = ~visible
    # Behind the quote of the last text there are three bytes at least: its other one, a brace and a line end.
    for distance in (1, 2, 3):
        byte = content[begins + distance]
        goes_on &= byte != QUOTE
        visible |= goes_on & (byte > _BLANK) & (byte < _DELETE)
        if visible.all():
            return True
    return not any(_may_be_blank(block, begin) for begin in begins[~visible].tolist())


def is_utf8(block: bytes, content: Bytes) -> bool:
    """Fast where all letters are of Western Europe: one byte, or two of which the first is C2 to DF."""
    if content.max() < 0xE0:
        follows = content.view(np.int8) < -64
        leads = content >= 0xC0
        return bool((leads[:-1] == follows[1:]).all()) and not (b"\xc0" in block or b"\xc1" in block)
    try:
        return bool(block.decode("utf-8"))
    except UnicodeDecodeError:
        return False
