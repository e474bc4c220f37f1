"""Brings the shapes that people write examples in to one: a list of messages that ends with the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import xxhash

from fragua_dataset.domain.problems import ProblemCode
from fragua_dataset.domain.profile import Shape
from fragua_dataset.domain.version_spec import VersionSpec
from fragua_dataset.ingestion.conversation import read_messages, read_sharegpt
from fragua_dataset.ingestion.multiple_choice import read_multiple_choice
from fragua_dataset.ingestion.problems import Flaw, kind_of, pointer_to, quoted
from fragua_dataset.ingestion.reading import Checklist, Message, Reading, turns

_HINT_SHAPES = (
    "rows are {instruction, input, output}, {messages}, {prompt, completion}, {conversations} "
    "or {question, choices, answer}"
)
_MARKS: dict[Shape, frozenset[str]] = {
    "messages": frozenset({"messages"}),
    "alpaca": frozenset({"instruction"}),
    "prompt_completion": frozenset({"prompt"}),
    "sharegpt": frozenset({"conversations"}),
    "multiple_choice": frozenset({"question", "choices"}),
}
"""A row that has all of these fields has the shape."""
_FIELDS: dict[Shape, tuple[str, ...]] = {
    "messages": ("messages",),
    "alpaca": ("system", "instruction", "input", "output"),
    "prompt_completion": ("system", "prompt", "completion"),
    "sharegpt": ("system", "conversations"),
    "multiple_choice": ("system", "question", "choices", "answer"),
}
FIELDS_OF_ROWS = frozenset(name for fields in _FIELDS.values() for name in fields)
FIELDS_WITH_STRUCTURE = frozenset({"messages", "conversations", "choices", "metadata"})
"""Where text in a container that knows nothing else is read as JSON."""


@dataclass(slots=True)
class Example:
    id: str
    """Hash of the messages: equal for equal content, whatever the metadata say."""
    messages: list[Message]
    metadata: dict[str, Any]
    question: str
    warnings: list[Flaw]
    """What does not keep the row from being used."""


def example_from_row(row: dict[str, Any], spec: VersionSpec) -> Example | list[Flaw]:
    """The row as an example, or every reason why it is none."""
    checklist = Checklist()
    shape = spec.shape if spec.shape != "auto" else _detect_shape(row, checklist)
    if shape is None:
        return checklist.flaws
    reading = _READERS[shape](row, checklist, spec)
    example_id = xxhash.xxh3_64_hexdigest(msgspec.json.encode(reading.messages))
    metadata = _metadata(row, shape, example_id, checklist, reading.facts)
    if checklist.flaws:
        return checklist.flaws
    answer = reading.messages[-1]["content"].strip()
    if len(answer) < spec.profile.answer.min_chars:
        message = f"the answer has {len(answer)} characters, expected at least {spec.profile.answer.min_chars}"
        hint = "write it out, or lower answer.min_chars of the profile"
        checklist.add(reading.answer_at, ProblemCode.ANSWER_TOO_SHORT, message, hint)
        return checklist.flaws
    return Example(example_id, reading.messages, metadata, reading.question, checklist.warnings)


def _detect_shape(row: dict[str, Any], checklist: Checklist) -> Shape | None:
    fields = row.keys()
    shapes = [shape for shape, marks in _MARKS.items() if marks <= fields]
    if len(shapes) == 1:
        return shapes[0]
    if shapes:
        message = f"the row could be {' or '.join(shapes)}"
        checklist.add("", ProblemCode.AMBIGUOUS_SHAPE, message, "name one as the shape of the import")
    else:
        found = ", ".join(quoted(field) for field in list(row)[:8]) or "no field"
        checklist.add("", ProblemCode.UNKNOWN_SHAPE, f"the row has {found}", _HINT_SHAPES)
    return None


def _read_alpaca(row: dict[str, Any], checklist: Checklist, _spec: VersionSpec) -> Reading:
    system = checklist.text(row, "system", required=False)
    question = checklist.text(row, "instruction")
    context = checklist.text(row, "input", required=False)
    answer = checklist.text(row, "output")
    if context.strip():
        question = f"{question}\n\n{context}"
    return Reading(turns(system, question, answer), question, "/output")


def _read_prompt_completion(row: dict[str, Any], checklist: Checklist, _spec: VersionSpec) -> Reading:
    system = checklist.text(row, "system", required=False)
    question = checklist.text(row, "prompt")
    return Reading(turns(system, question, checklist.text(row, "completion")), question, "/completion")


def _metadata(
    row: dict[str, Any], shape: Shape, example_id: str, checklist: Checklist, facts: dict[str, Any]
) -> dict[str, Any]:
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
    beside |= facts
    for name in sorted(named.keys() & beside.keys()):
        message = f"{quoted(name)} is given in the row and in its metadata"
        checklist.add(pointer_to("", name), ProblemCode.METADATA_CONFLICT, message, "keep one of them")
    return named | beside


_READERS: dict[Shape, Callable[[dict[str, Any], Checklist, VersionSpec], Reading]] = {
    "alpaca": _read_alpaca,
    "messages": read_messages,
    "prompt_completion": _read_prompt_completion,
    "sharegpt": read_sharegpt,
    "multiple_choice": read_multiple_choice,
}
