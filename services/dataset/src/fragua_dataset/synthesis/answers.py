"""Reads an answer as a row: one object, in JSON or YAML, with the fields of its form and nothing else."""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn

from fragua_dataset.domain.synthesis_spec import Form
from fragua_dataset.ingestion.requirements import SECTIONS, TEXTS
from fragua_platform.yaml_text import InvalidYaml, read_yaml, write_yaml

_THOUGHTS: Final = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
"""What reasoning models say to themselves first."""
_FENCE: Final = re.compile(r"^```[\w-]*[ \t]*\n(.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE)

_REQUIRED: Final[dict[Form, tuple[str, ...]]] = {
    "alpaca": ("instruction", "output"),
    "multiple_choice": ("question", "choices", "answer"),
    "requirements": (*TEXTS, *SECTIONS),
}
_OPTIONAL: Final[dict[Form, tuple[str, ...]]] = {"alpaca": ("input",), "multiple_choice": (), "requirements": ()}


class Unparsable(Exception):
    """The answer is no row; `reason` is one of a few, so that they can be counted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read_answer(text: str, form: Form) -> dict[str, Any]:
    """The fields of the row. What comes around the object is refused, but for thoughts and a fence around it."""
    found = _object_in(text)
    if missing := [name for name in _REQUIRED[form] if found.get(name) in (None, "", [], {})]:
        raise Unparsable(f"without {missing[0]}")
    if found.keys() - {*_REQUIRED[form], *_OPTIONAL[form]}:
        raise Unparsable("with fields that were not asked for")
    if form == "requirements":
        # A record holds its sections as text, whichever way a model writes lists.
        found |= {name: write_yaml(found[name]) for name in SECTIONS if not isinstance(found[name], str)}
    return found


def _object_in(text: str) -> dict[str, Any]:
    text = _THOUGHTS.sub("", text, count=1)
    fenced = _FENCE.findall(text)
    text = (fenced[0] if len(fenced) == 1 else text).strip()
    found = _read_json(text) if text.startswith("{") else _read_yaml(text)
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise Unparsable("not an object")
    return found


def _read_json(text: str) -> Any:
    try:
        found = json.loads(text, object_pairs_hook=_each_once, parse_constant=_no_number)
        # Half of a character can be written in JSON, and in nothing else.
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as broken:
        raise Unparsable("neither JSON nor YAML") from broken
    return found


def _read_yaml(text: str) -> Any:
    try:
        return read_yaml(text)
    except InvalidYaml as broken:
        raise Unparsable("neither JSON nor YAML") from broken


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
