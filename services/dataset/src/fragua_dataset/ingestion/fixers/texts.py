"""What fixers do to a text, wherever in a value it is."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any


def in_all_texts(value: Any, change: Callable[[str], str]) -> Any:
    """A copy with every text changed, the keys of objects too."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [in_all_texts(item, change) for item in value]
    if isinstance(value, dict):
        return {change(key): in_all_texts(item, change) for key, item in value.items()}
    return value


def trimmed(text: str) -> str:
    """Without the white space around it; the lines of indented code keep their places below each other."""
    return trimmed_block(text).strip()


def trimmed_block(text: str) -> str:
    """Without empty lines around it and without what all lines are indented by: YAML that says the same."""
    text = text.rstrip()
    if not text[:1].isspace():
        return text
    first = len(text) - len(text.lstrip())
    return textwrap.dedent(text[text.rfind("\n", 0, first) + 1 :])
