"""Turns the bytes of one row into a JSON object, strictly: a fast parser proves a row good, a slow one explains a bad one."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from fragua_dataset.domain.problems import ProblemCode
from fragua_dataset.ingestion.encodings import guess_at
from fragua_dataset.ingestion.problems import Flaw, kind_of, pointer_to, quoted

_decode = msgspec.json.Decoder().decode
_KEY_LIKE = re.compile(rb'"[ \t\r\n]*:')
_NUL_ESCAPE = b"\\u0000"


def parse_row(line: bytes, max_depth: int) -> dict[str, Any] | list[Flaw]:
    """The object that the bytes are, or everything that is wrong with it as JSON."""
    row, flaws = parse_value(line, max_depth)
    if flaws:
        return flaws
    if not isinstance(row, dict):
        hint = "write each row as one object in braces"
        return [Flaw("", ProblemCode.NOT_AN_OBJECT, f"the row is {kind_of(row)}, expected an object", hint)]
    return row


def parse_value(text: bytes, max_depth: int) -> tuple[Any, list[Flaw]]:
    """The value, of use only when there are no flaws."""
    try:
        value = _decode(text)
        spotless = _NUL_ESCAPE not in text and _key_count(value, max_depth) == len(_KEY_LIKE.findall(text))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        spotless = False
    if spotless:
        return value, []
    # The fast parser keeps the last of two equal keys. Every key ends in a quote and a colon, so as many of
    # those as keys proves that none was swallowed; a text may hold more of them, and then we look closer.
    try:
        value = _parse_slowly(text)
    except _Unreadable as unreadable:
        return None, [unreadable.flaw]
    return value, value_flaws(value, max_depth)


def _key_count(value: Any, depth: int) -> int:
    children: Iterable[Any]
    if isinstance(value, dict):
        children, count = value.values(), len(value)
    elif isinstance(value, list):
        children, count = value, 0
    else:
        return 0
    if depth == 0:
        raise RecursionError("deeper than max_depth")
    for child in children:
        if isinstance(child, dict | list):
            count += _key_count(child, depth - 1)
    return count


class _Unreadable(Exception):
    def __init__(self, code: ProblemCode, message: str, hint: str) -> None:
        super().__init__(message)
        self.flaw = Flaw("", code, message, hint)


class _RepeatedKeys(dict[str, Any]):
    """An object in which a key came twice; `repeated` names those keys."""

    repeated: tuple[str, ...] = ()


def _object_of_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    keys = [key for key, _ in pairs]
    marked = _RepeatedKeys(found)
    marked.repeated = tuple(key for key in found if keys.count(key) > 1)
    return marked


def _integer(digits: str) -> float | int:
    # Python refuses to parse thousands of digits; as a float such a number is infinite, and told as such.
    return int(digits) if len(digits) < 300 else float(digits)


_strict_json = json.JSONDecoder(object_pairs_hook=_object_of_pairs, parse_int=_integer)


def _parse_slowly(row: bytes) -> Any:
    """As lenient as the standard library, so that `_flaws` can point at each flaw."""
    try:
        text = row.decode("utf-8")
    except UnicodeDecodeError as broken:
        message = f"byte {broken.start + 1} (0x{row[broken.start]:02x}) is not UTF-8"
        hint = f"save the file as UTF-8; {guess_at(row)}"
        raise _Unreadable(ProblemCode.INVALID_UTF8, message, hint) from broken
    if "\0" in text:
        hint = "remove it; if every second byte is NUL the file is UTF-16, save it as UTF-8"
        raise _Unreadable(ProblemCode.NUL_CHARACTER, f"byte {row.index(0) + 1} is NUL", hint)
    try:
        return _strict_json.decode(text)
    except json.JSONDecodeError as broken:
        line = f"line {broken.lineno} of the row, " if broken.lineno > 1 else ""
        message = f"{line}column {broken.colno}: {broken.msg}"
        hint = "a row is one JSON object: double quotes, no trailing comma, line breaks in texts written as \\n"
        raise _Unreadable(ProblemCode.INVALID_JSON, message, hint) from broken
    except RecursionError as endless:
        raise _Unreadable(ProblemCode.TOO_DEEP, "the objects nest without end", "flatten the row") from endless


def value_flaws(value: Any, max_depth: int) -> list[Flaw]:
    """What no JSON should hold: repeated keys, numbers that are none, halves of characters, endless depth."""
    return list(_flaws("", value, max_depth))


def _flaws(pointer: str, value: Any, depth: int) -> Iterator[Flaw]:
    if isinstance(value, str):
        yield from _text_flaws(pointer, value)
    elif isinstance(value, float) and not math.isfinite(value):
        message = "the value is NaN, infinite, or too large a number"
        yield Flaw(pointer, ProblemCode.NOT_A_JSON_NUMBER, message, "write null, or leave the field out")
    elif isinstance(value, dict | list):
        if depth == 0:
            yield Flaw(pointer, ProblemCode.TOO_DEEP, "the row nests deeper than max_depth", "flatten the row")
            return
        for repeated in value.repeated if isinstance(value, _RepeatedKeys) else ():
            message = f"the key {quoted(repeated)} comes more than once in this object"
            yield Flaw(pointer_to(pointer, repeated), ProblemCode.DUPLICATE_KEY, message, "keep one of them")
        children: Iterable[tuple[str | int, Any]] = value.items() if isinstance(value, dict) else enumerate(value)
        for key, child in children:
            if isinstance(key, str):
                yield from _text_flaws(pointer, key)
            yield from _flaws(pointer_to(pointer, key), child, depth - 1)


def _text_flaws(pointer: str, text: str) -> Iterator[Flaw]:
    if "\0" in text:
        yield Flaw(pointer, ProblemCode.NUL_CHARACTER, "the text holds a NUL character", "remove \\u0000")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as lone:
        message = f"\\u{ord(text[lone.start]):04x} is half of a surrogate pair"
        hint = "the text was cut inside an emoji or another rare character; write both halves or neither"
        yield Flaw(pointer, ProblemCode.LONE_SURROGATE, message, hint)
