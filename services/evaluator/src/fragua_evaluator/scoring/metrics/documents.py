"""Finds the document in an answer, JSON or YAML, and reads it without trusting it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from fragua_platform.yaml_text import InvalidYaml, read_yaml

_FENCE = re.compile(r"[ ]{0,3}(`{3,}|~{3,})[ \t]*([\w+.#-]*)")
_DOCUMENT_LANGUAGES = ("", "json", "yaml", "yml")
_MAX_DEPTH = 32
_KEY = re.compile(r"[^\W\d][\w-]*")


class Unreadable(ValueError):
    """It is no document; the message says why, for people."""


@dataclass(frozen=True)
class Block:
    """What stands in a code fence; one that the answer does not close goes on to its end."""

    language: str
    text: str


def code_blocks(answer: str) -> list[Block]:
    blocks = []
    fence, language, lines = "", "", list[str]()
    for line in answer.splitlines():
        found = _FENCE.match(line)
        if not fence and found:
            fence, language, lines = found[1], found[2].lower(), []
        elif fence and found and found[1].startswith(fence) and not found[2]:
            blocks.append(Block(language, "\n".join(lines)))
            fence = ""
        elif fence:
            lines.append(line)
    if fence:
        blocks.append(Block(language, "\n".join(lines)))
    return blocks


def document_text(answer: str, *, strict: bool = False) -> str:
    """The first code block that can be a document, and without one the whole answer."""
    if not strict:
        for block in code_blocks(answer):
            if block.language in _DOCUMENT_LANGUAGES:
                return block.text
    return answer


def read_json_document(answer: str, *, strict: bool = False) -> Any:
    """An object or a list. Raises Unreadable."""
    text = document_text(answer, strict=strict).strip()
    # A text in quotes or a number would be JSON too; whoever asks for JSON does not want those.
    if text[:1] not in ("{", "["):
        raise Unreadable("it does not begin with { or [")
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
        _refuse_depth(document)
    except RecursionError as deep:
        raise Unreadable("it nests too deep") from deep
    except ValueError as broken:  # not JSON, or a number of 5,000 digits
        raise Unreadable(str(broken)) from broken
    return document


def read_yaml_document(answer: str, *, strict: bool = False) -> Any:
    """A map or a list: prose is YAML too, and whoever asks for YAML does not want that. Raises Unreadable."""
    try:
        document = read_yaml(document_text(answer, strict=strict))
    except InvalidYaml as broken:
        raise Unreadable(str(broken)) from broken
    if not isinstance(document, dict | list):
        raise Unreadable("it is no map and no list")
    return document


def is_readable(answer: str, form: str, *, strict: bool = False) -> bool:
    """`form` is `json` or `yaml`."""
    try:
        (read_json_document if form == "json" else read_yaml_document)(answer, strict=strict)
    except Unreadable:
        return False
    return True


def form_of(expected: str) -> str:
    """`json`, `yaml`, or empty: an expected answer in prose asks for no form, and some prose happens to be YAML."""
    if is_readable(expected, "json"):
        return "json"
    try:
        document = read_yaml_document(expected)
    except Unreadable:
        return ""
    maps = document if isinstance(document, list) else [document]
    return "yaml" if maps and all(_is_data(part) for part in maps) else ""


def keys_of(document: Any) -> frozenset[str]:
    return frozenset(key for key in document if isinstance(key, str)) if isinstance(document, dict) else frozenset()


def _is_data(part: Any) -> bool:
    """Two keys that could be names; `Nota: hoy no` is prose."""
    return isinstance(part, dict) and len(part) > 1 and all(_KEY.fullmatch(str(key)) for key in part)


def _refuse_depth(document: Any, left: int = _MAX_DEPTH) -> None:
    if not isinstance(document, dict | list):
        return
    if not left:
        raise Unreadable(f"it nests deeper than {_MAX_DEPTH} levels")
    for part in document.values() if isinstance(document, dict) else document:
        _refuse_depth(part, left - 1)


def _refuse_constant(name: str) -> NoReturn:
    raise Unreadable(f"{name} is no JSON")
