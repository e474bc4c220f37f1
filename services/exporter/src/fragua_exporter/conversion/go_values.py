"""The values of Go's text/template: how they are printed, and the functions that it has for them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Value = Any
"""Strings, whole numbers, booleans, sequences, mappings; None is Go's nil."""


class GoTemplateError(ValueError):
    """The template is broken, or uses something that is not known here."""


def printed(value: Value) -> str:
    match value:
        case None:
            return "<no value>"
        case bool():
            return "true" if value else "false"
        case str() | int():
            return str(value)
        case _:
            raise GoTemplateError(f"{value!r} cannot be printed")


def _equal(first: Value, *others: Value) -> bool:
    if any(type(first) is not type(other) for other in others):
        raise GoTemplateError(f"{first!r} and {others!r} cannot be compared")
    return first in others


def _length(value: Value) -> int:
    if not isinstance(value, str | list | tuple):
        raise GoTemplateError(f"{value!r} has no length")
    return len(value.encode() if isinstance(value, str) else value)


def _in_order(compare: Callable[[Value, Value], bool]) -> Callable[[Value, Value], bool]:
    def ordered(first: Value, second: Value) -> bool:
        if type(first) is not type(second) or not isinstance(first, str | int):
            raise GoTemplateError(f"{first!r} and {second!r} have no order")
        return compare(first, second)

    return ordered


FUNCTIONS: Mapping[str, Callable[..., Value]] = {
    "and": lambda *values: next((value for value in values if not value), values[-1]),
    "or": lambda *values: next((value for value in values if value), values[-1]),
    "not": operator.not_,
    "eq": _equal,
    "ne": lambda first, second: not _equal(first, second),
    "lt": _in_order(operator.lt),
    "le": _in_order(operator.le),
    "gt": _in_order(operator.gt),
    "ge": _in_order(operator.ge),
    "len": _length,
    "slice": lambda sequence, start=0, end=None: sequence[start:end],
    "index": operator.getitem,
}


def call(name: str, arguments: Sequence[Value]) -> Value:
    try:
        return FUNCTIONS[name](*arguments)
    except (TypeError, IndexError, KeyError) as wrong:
        raise GoTemplateError(f"{name} of {arguments!r}: {wrong}") from wrong
