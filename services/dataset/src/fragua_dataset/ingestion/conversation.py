"""Reads conversations of many turns: OpenAI's `messages` and ShareGPT's `conversations`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fragua_dataset.domain.problems import ProblemCode
from fragua_dataset.domain.version_spec import VersionSpec
from fragua_dataset.ingestion.canonical import FACTS, id_of
from fragua_dataset.ingestion.problems import kind_of, pointer_to, quoted
from fragua_dataset.ingestion.reading import Checklist, Message, Reading


@dataclass(frozen=True)
class _Dialect:
    turns: str
    role: str
    content: str
    roles: dict[str, str]
    """Their names for ours."""


_OPENAI = _Dialect("messages", "role", "content", {role: role for role in ("system", "user", "assistant")})
_SHAREGPT = _Dialect(
    "conversations",
    "from",
    "value",
    {"system": "system", "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"},
)
_ROLE_HINTS = {
    "human": "rename it to 'user'",
    "gpt": "rename it to 'assistant'",
    "bot": "rename it to 'assistant'",
    "model": "rename it to 'assistant'",
    "developer": "rename it to 'system'",
    "tool": "tool calls are not supported",
}


def read_messages(row: dict[str, Any], checklist: Checklist, spec: VersionSpec) -> Reading:
    """Also what the messages were made from, when the row comes from a version: its id tells."""
    reading = _read(row, checklist, spec, _OPENAI)
    if not checklist.flaws and row.get("id") == id_of(reading.messages):
        reading.facts = {name: row[name] for name in FACTS if name in row}
    return reading


def read_sharegpt(row: dict[str, Any], checklist: Checklist, spec: VersionSpec) -> Reading:
    reading = _read(row, checklist, spec, _SHAREGPT)
    system = checklist.text(row, "system", required=False)
    if system.strip():
        if reading.messages and reading.messages[0]["role"] == "system":
            message = "'system' is given beside the conversation and in it"
            checklist.add("/system", ProblemCode.METADATA_CONFLICT, message, "keep one of them")
        reading.messages.insert(0, {"role": "system", "content": system})
    return reading


def _read(row: dict[str, Any], checklist: Checklist, spec: VersionSpec, dialect: _Dialect) -> Reading:
    found = row.get(dialect.turns)
    nothing = Reading([], "", "")
    pointer = f"/{dialect.turns}"
    if not isinstance(found, list) or not found:
        code = ProblemCode.WRONG_TYPE if dialect.turns in row else ProblemCode.MISSING_FIELD
        message = f"{dialect.turns!r} is not a list with at least one message"
        checklist.add(pointer, code, message, f"write a list of {{{dialect.role}, {dialect.content}}}")
        return nothing
    if len(found) > spec.max_messages:
        message = f"{len(found)} messages, expected at most {spec.max_messages}"
        checklist.add(pointer, ProblemCode.TOO_MANY_MESSAGES, message, "divide the conversation")
        return nothing
    messages = [_read_message(turn, f"{pointer}/{index}", checklist, dialect) for index, turn in enumerate(found)]
    _check_order([message["role"] for message in messages], checklist, dialect)
    asked = next((place for place, message in enumerate(messages) if message["role"] == "user"), 0)
    places = [f"{pointer}/{place}/{dialect.content}" for place in (asked, len(messages) - 1)]
    return Reading(messages, messages[asked]["content"], places[1], question_at=places[0])


def _read_message(turn: Any, pointer: str, checklist: Checklist, dialect: _Dialect) -> Message:
    if not isinstance(turn, dict):
        message = f"the message is {kind_of(turn)}, expected an object"
        checklist.add(pointer, ProblemCode.WRONG_TYPE, message, f"write {{{dialect.role}, {dialect.content}}}")
        return {"role": "", "content": ""}
    for name in sorted(turn.keys() - {dialect.role, dialect.content}):
        message = f"{quoted(name)} of a message is not supported"
        hint = f"keep {dialect.role} and {dialect.content}; put other facts beside {dialect.turns!r}"
        checklist.add(pointer_to(pointer, name), ProblemCode.UNSUPPORTED_FIELD, message, hint)
    named = checklist.text(turn, dialect.role, pointer)
    role = dialect.roles.get(named, "")
    if named and not role:
        message = f"{quoted(named)} is not one of {', '.join(dialect.roles)}"
        hint = _ROLE_HINTS.get(named, "rename the role")
        checklist.add(f"{pointer}/{dialect.role}", ProblemCode.UNKNOWN_ROLE, message, hint)
    return {"role": role, "content": checklist.text(turn, dialect.content, pointer)}


def _check_order(roles: list[str], checklist: Checklist, dialect: _Dialect) -> None:
    """[system] user assistant [user assistant …]; tells the first place where it breaks, the rest would follow."""
    hint = "the order is: perhaps system, then user and assistant by turns, the answer last"
    start = 1 if roles[0] == "system" else 0
    for index, role in enumerate(roles[start:], start):
        expected = "user" if (index - start) % 2 == 0 else "assistant"
        if not role:
            return
        if role != expected:
            message = f"{role!r} comes where {expected!r} is expected"
            pointer = f"/{dialect.turns}/{index}/{dialect.role}"
            checklist.add(pointer, ProblemCode.WRONG_ROLE_ORDER, message, hint)
            return
    if roles[-1] != "assistant" and roles[-1]:
        message = f"the conversation ends with {roles[-1]!r}, expected 'assistant'"
        pointer = f"/{dialect.turns}/{len(roles) - 1}/{dialect.role}"
        checklist.add(pointer, ProblemCode.WRONG_ROLE_ORDER, message, hint)
