"""What the readers of all shapes share: the result they give, and the list of what is wrong with a row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fragua_dataset.domain.problems import ProblemCode
from fragua_dataset.ingestion.problems import Flaw, kind_of, pointer_to

Message = dict[str, str]


@dataclass(slots=True)
class Reading:
    """What a row says; of use only when its checklist found no flaw."""

    messages: list[Message]
    question: str
    """What is asked first; without choices, which may come in any order."""
    answer_at: str
    """JSON pointer to the last answer."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the messages were made from: `choices` and `answer`, or `record`."""
    question_at: str = ""
    """JSON pointer to the question."""


def turns(system: str, question: str, answer: str) -> list[Message]:
    instruction = [{"role": "system", "content": system}] if system.strip() else []
    return [*instruction, {"role": "user", "content": question}, {"role": "assistant", "content": answer}]


class Checklist:
    """The flaws of one row, gathered so that all are told together."""

    def __init__(self) -> None:
        self.flaws: list[Flaw] = []
        """What keeps the row from being an example."""
        self.remarks: list[Flaw] = []
        """What is wrong with the example that it is."""

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
