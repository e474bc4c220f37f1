"""Brings the shapes that people write examples in to one: a list of messages that ends with the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import xxhash

from fragua_dataset.domain.import_spec import ImportSpec, ProblemCode, Shape
from fragua_dataset.ingestion.problems import Flaw, kind_of, pointer_to, quoted

Message = dict[str, str]

_HINT_SHAPES = "rows are {instruction, input, output}, {messages} or {prompt, completion}"
_MARKING_FIELD: dict[str, Shape] = {
    "messages": "messages",
    "instruction": "alpaca",
    "prompt": "prompt_completion",
}
_FIELDS: dict[Shape, tuple[str, ...]] = {
    "messages": ("messages",),
    "alpaca": ("system", "instruction", "input", "output"),
    "prompt_completion": ("system", "prompt", "completion"),
}


@dataclass(frozen=True)
class Example:
    id: str
    """Hash of the messages: equal for equal content, whatever the metadata say."""
    messages: list[Message]
    metadata: dict[str, Any]


class _Checklist:
    """The flaws of one row, gathered so that all are told together."""

    def __init__(self) -> None:
        self.flaws: list[Flaw] = []

    def add(self, pointer: str, code: ProblemCode, message: str, hint: str) -> None:
        self.flaws.append(Flaw(pointer, code, message, hint))

    def text(self, fields: dict[str, Any], name: str, parent: str = "", *, required: bool = True) -> str:
        """The text of a field; "" when it is absent (allowed or not) or wrong."""
        pointer = pointer_to(parent, name)
        value = fields.get(name)
        if value is None and not required:
            return ""
        if name not in fields:
            self.add(pointer, ProblemCode.MISSING_FIELD, f"{name!r} is missing", "add it")
        elif not isinstance(value, str):
            message = f"{name!r} is {kind_of(value)}, expected text"
            self.add(pointer, ProblemCode.WRONG_TYPE, message, "write it as a string")
        elif required and not value.strip():
            self.add(pointer, ProblemCode.EMPTY_TEXT, f"{name!r} is empty", "fill it in or delete the row")
        else:
            return value
        return ""


def example_from_row(row: dict[str, Any], spec: ImportSpec) -> Example | list[Flaw]:
    """The row as an example, or every reason why it is none."""
    checklist = _Checklist()
    shape = spec.shape if spec.shape != "auto" else _detect_shape(row, checklist)
    if shape is None:
        return checklist.flaws
    messages = _READERS[shape](row, checklist, spec)
    example_id = xxhash.xxh3_64_hexdigest(msgspec.json.encode(messages))
    metadata = _metadata(row, shape, example_id, checklist)
    if checklist.flaws:
        return checklist.flaws
    answer = messages[-1]["content"].strip()
    if len(answer) < spec.min_answer_chars:
        pointer = f"/messages/{len(messages) - 1}/content" if shape == "messages" else f"/{_FIELDS[shape][-1]}"
        message = f"the answer has {len(answer)} characters, expected at least {spec.min_answer_chars}"
        checklist.add(pointer, ProblemCode.ANSWER_TOO_SHORT, message, "write it out, or lower min_answer_chars")
        return checklist.flaws
    return Example(example_id, messages, metadata)


def _detect_shape(row: dict[str, Any], checklist: _Checklist) -> Shape | None:
    shapes = [shape for field, shape in _MARKING_FIELD.items() if field in row]
    if len(shapes) == 1:
        return shapes[0]
    if shapes:
        message = f"the row could be {' or '.join(shapes)}"
        checklist.add("", ProblemCode.AMBIGUOUS_SHAPE, message, "name one as the shape of the import")
    else:
        fields = ", ".join(quoted(field) for field in list(row)[:8]) or "no field"
        checklist.add("", ProblemCode.UNKNOWN_SHAPE, f"the row has {fields}", _HINT_SHAPES)
    return None


def _read_alpaca(row: dict[str, Any], checklist: _Checklist, _spec: ImportSpec) -> list[Message]:
    system = checklist.text(row, "system", required=False)
    question = checklist.text(row, "instruction")
    context = checklist.text(row, "input", required=False)
    answer = checklist.text(row, "output")
    return _turns(system, f"{question}\n\n{context}" if context.strip() else question, answer)


def _read_prompt_completion(row: dict[str, Any], checklist: _Checklist, _spec: ImportSpec) -> list[Message]:
    system = checklist.text(row, "system", required=False)
    return _turns(system, checklist.text(row, "prompt"), checklist.text(row, "completion"))


def _turns(system: str, question: str, answer: str) -> list[Message]:
    instruction = [{"role": "system", "content": system}] if system.strip() else []
    return [*instruction, {"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def _read_messages(row: dict[str, Any], checklist: _Checklist, spec: ImportSpec) -> list[Message]:
    turns = row.get("messages")
    if not isinstance(turns, list) or not turns:
        code = ProblemCode.WRONG_TYPE if "messages" in row else ProblemCode.MISSING_FIELD
        hint = "write a list of {role, content}"
        checklist.add("/messages", code, "'messages' is not a list with at least one message", hint)
        return []
    if len(turns) > spec.max_messages:
        message = f"{len(turns)} messages, expected at most {spec.max_messages}"
        checklist.add("/messages", ProblemCode.TOO_MANY_MESSAGES, message, "divide the conversation")
        return []
    messages = [_read_message(turn, f"/messages/{index}", checklist) for index, turn in enumerate(turns)]
    _check_order([message["role"] for message in messages], checklist)
    return messages


def _read_message(turn: Any, pointer: str, checklist: _Checklist) -> Message:
    if not isinstance(turn, dict):
        message = f"the message is {kind_of(turn)}, expected an object"
        checklist.add(pointer, ProblemCode.WRONG_TYPE, message, "write {role, content}")
        return {"role": "", "content": ""}
    for name in turn.keys() - {"role", "content"}:
        message = f"{quoted(name)} of a message is not supported"
        hint = "keep role and content; put other facts beside 'messages'"
        checklist.add(pointer_to(pointer, name), ProblemCode.UNSUPPORTED_FIELD, message, hint)
    role = checklist.text(turn, "role", pointer)
    if role and role not in _ROLES:
        message = f"{quoted(role)} is not one of {', '.join(_ROLES)}"
        hint = _ROLE_HINTS.get(role, "rename the role")
        checklist.add(f"{pointer}/role", ProblemCode.UNKNOWN_ROLE, message, hint)
        role = ""
    return {"role": role, "content": checklist.text(turn, "content", pointer)}


_ROLES = ("system", "user", "assistant")
_ROLE_HINTS = {
    "human": "rename it to 'user'",
    "gpt": "rename it to 'assistant'",
    "bot": "rename it to 'assistant'",
    "model": "rename it to 'assistant'",
    "developer": "rename it to 'system'",
    "tool": "tool calls are not supported",
}


def _check_order(roles: list[str], checklist: _Checklist) -> None:
    """[system] user assistant [user assistant …]; tells the first place where it breaks, the rest would follow."""
    hint = "the order is: perhaps system, then user and assistant by turns, the answer last"
    start = 1 if roles[0] == "system" else 0
    for index, role in enumerate(roles[start:], start):
        expected = "user" if (index - start) % 2 == 0 else "assistant"
        if not role:
            return
        if role != expected:
            message = f"{role!r} comes where {expected!r} is expected"
            checklist.add(f"/messages/{index}/role", ProblemCode.WRONG_ROLE_ORDER, message, hint)
            return
    if roles[-1] != "assistant" and roles[-1]:
        message = f"the conversation ends with {roles[-1]!r}, expected 'assistant'"
        checklist.add(f"/messages/{len(roles) - 1}/role", ProblemCode.WRONG_ROLE_ORDER, message, hint)


def _metadata(row: dict[str, Any], shape: Shape, example_id: str, checklist: _Checklist) -> dict[str, Any]:
    """`metadata` of the row and its fields that are not part of the conversation.

    Our own `id` is not one of them: importing an exported version gives the same rows again.
    """
    named = row.get("metadata") or {}
    if not isinstance(named, dict):
        message = f"'metadata' is {kind_of(named)}, expected an object"
        checklist.add("/metadata", ProblemCode.WRONG_TYPE, message, "write an object")
        return {}
    beside = {name: value for name, value in row.items() if name not in _FIELDS[shape] and name != "metadata"}
    if beside.get("id") == example_id:
        del beside["id"]
    for name in named.keys() & beside.keys():
        message = f"{quoted(name)} is given in the row and in its metadata"
        checklist.add(pointer_to("", name), ProblemCode.METADATA_CONFLICT, message, "keep one of them")
    return named | beside


_READERS: dict[Shape, Callable[[dict[str, Any], _Checklist, ImportSpec], list[Message]]] = {
    "alpaca": _read_alpaca,
    "messages": _read_messages,
    "prompt_completion": _read_prompt_completion,
}
