"""Tells chat templates apart by what they write, not by how they are written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Final

from fragua_evaluator.domain.arm import Message, Role
from fragua_platform.errors import InvalidData

_SYSTEM: Final = Message(role=Role.SYSTEM, content="Eres un tutor.")
_QUESTION: Final = Message(role=Role.USER, content="  ¿Qué es la ñ?\n")
_ANSWER: Final = Message(role=Role.ASSISTANT, content=" Una letra.\n\n")
_CONVERSATIONS: Final = (
    (_QUESTION,),
    (_SYSTEM, _QUESTION),
    (_QUESTION, _ANSWER, _QUESTION),
    (_SYSTEM, _QUESTION, _ANSWER, _QUESTION, _ANSWER),
)
"""With what templates treat differently: a system message or none, further turns, white space at the ends."""


def template_digest(write: Callable[[Sequence[Message], bool], str]) -> str:
    """SHA-256 of what a template writes around turns that are always the same.

    A model directory and its export hold one template in different words, and a difference that no prompt shows is
    none. `write` takes the turns and whether an answer is to begin, and raises InvalidData where the template refuses.
    """
    written = [
        _written(write, conversation, opens_answer) for conversation in _CONVERSATIONS for opens_answer in (True, False)
    ]
    return hashlib.sha256(json.dumps(written).encode()).hexdigest()


def _written(
    write: Callable[[Sequence[Message], bool], str], conversation: Sequence[Message], opens_answer: bool
) -> str | None:
    try:
        return write(conversation, opens_answer)
    except InvalidData:
        return None
