"""Holds messages against the rules that their protos state, and names every rule that one breaks."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from typing import TypeVar

import protovalidate
from google.protobuf.message import Message

from fragua_platform.errors import InvalidInput, Violation

M = TypeVar("M", bound=Message)


def check_message(message: M) -> M:
    """The message itself, or `InvalidInput` with one violation for each broken rule."""
    violations = [_violation(found.proto) for found in protovalidate.collect_violations(message)]
    if violations:
        raise InvalidInput(_summary(violations), violations=violations)
    return message


async def checked_messages(messages: AsyncIterable[M]) -> AsyncIterator[M]:
    async for message in messages:
        yield check_message(message)


def _violation(found: protovalidate.ViolationPb) -> Violation:
    return Violation(_path(found.field), found.message)


def _path(field: protovalidate.FieldPathPb | None) -> str:
    """`training_job.lora.target_modules[2]`; empty where the rule is about the message as a whole."""
    return ".".join(_step(element) for element in field.elements) if field else ""


def _step(element: protovalidate.FieldPathElementPb) -> str:
    subscript = element.subscript
    if subscript is None:
        return element.field_name
    key = f'"{subscript.value}"' if isinstance(subscript.value, str) else subscript.value
    return f"{element.field_name}[{key}]"


def _summary(violations: list[Violation]) -> str:
    """For clients that show the message alone."""
    first = f"{violations[0].field}: {violations[0].description}".removeprefix(": ")
    return first if len(violations) == 1 else f"the request has {len(violations)} problems; the first: {first}"
