"""An item: one question of a suite, with what is expected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fragua_evaluator.domain.arm import Message


@dataclass(frozen=True)
class Item:
    suite: str
    id: str
    place: str
    """For errors: `validation.jsonl line 17`, `case multi-domain-1`."""
    tag: str
    messages: tuple[Message, ...]
    """Up to and including the question."""
    expected: str
    """Empty where no single answer is right."""
    choices: tuple[str, ...] | None = None
    """Each as the whole text of an assistant's answer."""
    right_choice: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
