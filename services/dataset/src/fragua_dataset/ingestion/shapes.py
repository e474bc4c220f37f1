"""Brings the shapes that people write examples in to one: a list of messages that ends with the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fragua_dataset.domain.problems import ProblemCode
from fragua_dataset.domain.profile import Shape
from fragua_dataset.domain.version_spec import VersionSpec
from fragua_dataset.ingestion.canonical import FACTS, Row, canonical_row, id_of
from fragua_dataset.ingestion.conversation import read_messages, read_sharegpt
from fragua_dataset.ingestion.multiple_choice import read_multiple_choice
from fragua_dataset.ingestion.problems import Flaw, kind_of, pointer_to, quoted
from fragua_dataset.ingestion.reading import Checklist, Message, Reading, turns
from fragua_dataset.ingestion.requirements import RECORD_FIELDS, read_requirements

_HINT_SHAPES = (
    "rows are {instruction, input, output}, {messages}, {prompt, completion}, {conversations}, "
    "{question, choices, answer} or {concept, title, description, functional_requirements, …}"
)
_MARKS: dict[Shape, frozenset[str]] = {
    "messages": frozenset({"messages"}),
    "alpaca": frozenset({"instruction"}),
    "prompt_completion": frozenset({"prompt"}),
    "sharegpt": frozenset({"conversations"}),
    "multiple_choice": frozenset({"question", "choices"}),
    "requirements": frozenset({"concept", "functional_requirements"}),
}
"""A row that has all of these fields has the shape."""
_FIELDS: dict[Shape, tuple[str, ...]] = {
    "messages": ("messages",),
    "alpaca": ("system", "instruction", "input", "output"),
    "prompt_completion": ("system", "prompt", "completion"),
    "sharegpt": ("system", "conversations"),
    "multiple_choice": ("system", "question", "choices", "answer"),
    "requirements": ("system", *RECORD_FIELDS),
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
    """The first one; without the choices, which may come in any order."""
    flaws: list[Flaw]
    """What was seen on reading that does not keep it from being an example."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the messages were made from: `choices` and `answer`, or `record`."""
    question_at: str = ""
    answer_at: str = ""
    """JSON pointers into the row as its author wrote it."""
    origin: str = ""

    def as_row(self) -> Row:
        return canonical_row(self.messages, self.facts, self.metadata, self.origin)


def example_from_row(row: dict[str, Any], spec: VersionSpec) -> Example | list[Flaw]:
    """The row as an example, or every reason why it is none."""
    checklist = Checklist()
    shape = shape_of(row, spec)
    if shape is None:
        _tell_shapes(row, checklist)
        return checklist.flaws
    if spec.profile.shapes and shape not in spec.profile.shapes:
        message = f"the row is {shape}; the profile {spec.profile.name!r} takes {', '.join(spec.profile.shapes)}"
        checklist.add("", ProblemCode.SHAPE_NOT_ALLOWED, message, "write the rows so, or choose another profile")
        return checklist.flaws
    reading = _READERS[shape](row, checklist, spec)
    example_id = id_of(reading.messages) if reading.messages else ""
    metadata = _metadata(row, shape, example_id, checklist, reading.facts)
    if checklist.flaws:
        # One list, so that all that is wrong with a row is told.
        return checklist.flaws + checklist.remarks
    return Example(
        example_id,
        reading.messages,
        metadata,
        reading.question,
        checklist.remarks,
        reading.facts,
        reading.question_at,
        reading.answer_at,
    )


def example_of_version(row: Row) -> Example:
    """A row that was an example before, from a version: it is not examined again as what it was made from."""
    facts: dict[str, Any] = {name: row[name] for name in FACTS if name in row}
    messages: list[Message] = row["messages"]
    asked = next(place for place, message in enumerate(messages) if message["role"] == "user")
    record = facts.get("record")
    question = record["concept"] if record else _without_choices(messages[asked]["content"], facts)
    return Example(
        id_of(messages),
        messages,
        row["metadata"],
        question,
        [],
        facts,
        "/record/concept" if record else f"/messages/{asked}/content",
        "" if record else f"/messages/{len(messages) - 1}/content",
        row.get("origin", ""),
    )


def _without_choices(asked: str, facts: dict[str, Any]) -> str:
    """Choices are listed below the question, each on a line or more of its own."""
    if "choices" not in facts:
        return asked
    listed = sum(1 + choice.count("\n") for choice in facts["choices"])
    return asked.rsplit("\n", listed + 1)[0]


def shape_of(row: dict[str, Any], spec: VersionSpec) -> Shape | None:
    """The shape that was named, or the only one that the fields of the row mark."""
    if spec.shape != "auto":
        return spec.shape
    shapes = _shapes_marked(row)
    return shapes[0] if len(shapes) == 1 else None


def _shapes_marked(row: dict[str, Any]) -> list[Shape]:
    return [shape for shape, marks in _MARKS.items() if marks <= row.keys()]


def _tell_shapes(row: dict[str, Any], checklist: Checklist) -> None:
    if shapes := _shapes_marked(row):
        message = f"the row could be {' or '.join(shapes)}"
        checklist.add("", ProblemCode.AMBIGUOUS_SHAPE, message, "name one as the shape of the import")
    else:
        found = ", ".join(quoted(field) for field in list(row)[:8]) or "no field"
        checklist.add("", ProblemCode.UNKNOWN_SHAPE, f"the row has {found}", _HINT_SHAPES)


def _read_alpaca(row: dict[str, Any], checklist: Checklist, _spec: VersionSpec) -> Reading:
    system = checklist.text(row, "system", required=False)
    question = checklist.text(row, "instruction")
    context = checklist.text(row, "input", required=False)
    answer = checklist.text(row, "output")
    question = with_context(question, context)
    return Reading(turns(system, question, answer), question, "/output", question_at="/instruction")


def with_context(question: str, context: str) -> str:
    return f"{question}\n\n{context}" if context.strip() else question


def _read_prompt_completion(row: dict[str, Any], checklist: Checklist, _spec: VersionSpec) -> Reading:
    system = checklist.text(row, "system", required=False)
    question = checklist.text(row, "prompt")
    answer = checklist.text(row, "completion")
    return Reading(turns(system, question, answer), question, "/completion", question_at="/prompt")


def _metadata(
    row: dict[str, Any], shape: Shape, example_id: str, checklist: Checklist, facts: dict[str, Any]
) -> dict[str, Any]:
    """`metadata` of the row and its fields that are not part of the conversation.

    What only we write in rows is not part of them: importing an exported version gives the same rows again.
    """
    named = row.get("metadata") or {}
    if not isinstance(named, dict):
        message = f"'metadata' is {kind_of(named)}, expected an object"
        checklist.add("/metadata", ProblemCode.WRONG_TYPE, message, "write an object")
        return {}
    ours = {"metadata", *_FIELDS[shape]}
    if example_id and row.get("id") == example_id:
        ours |= {"id", "origin", *facts}
    beside = {name: value for name, value in row.items() if name not in ours}
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
    "requirements": read_requirements,
}
