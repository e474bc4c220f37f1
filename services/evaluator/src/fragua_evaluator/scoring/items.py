"""Chooses the questions: held-out rows, drawn by seed, the same for both models."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fragua_evaluator.domain.evaluation_spec import EvaluationSpec
from fragua_platform.errors import InvalidData, InvalidInput, Violation

_MAX_VIOLATIONS = 20


@dataclass(frozen=True)
class Item:
    id: str
    line: int
    prompt: list[dict[str, str]]
    """The conversation up to its last answer."""
    expected: str


@dataclass(frozen=True)
class Selection:
    items: list[Item]
    """In the order of the file."""
    available: int
    sha256: str
    """Of the file that they come from."""


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid")
    role: Literal["system", "user", "assistant"]
    content: str


class _Row(BaseModel):
    id: Annotated[str, Field(min_length=1, max_length=128)]
    messages: Annotated[list[_Message], Field(min_length=2)]

    @model_validator(mode="after")
    def _ends_with_an_answer(self) -> Self:
        if self.messages[-1].role != "assistant" or not self.messages[-1].content.strip():
            raise ValueError("the last message must be the expected answer of the assistant")
        return self

    def as_item(self, line: int) -> Item:
        *prompt, answer = (message.model_dump() for message in self.messages)
        return Item(self.id, line, prompt, answer["content"])


def select_items(path: Path, spec: EvaluationSpec) -> Selection:
    """Raises InvalidData that names every broken row, or says that nothing was held out."""
    if not path.is_file():
        raise InvalidInput(f"{path.name} is missing: a dataset version holds train.jsonl and validation.jsonl")
    reader = _RowReader(path)
    items = heapq.nsmallest(spec.max_items, reader.items(), key=lambda item: _rank(item.id, spec.seed))
    reader.refuse_problems()
    if not items:
        raise InvalidData(
            "validation.jsonl is empty, so there is nothing to ask: import the data again with a validation_fraction "
            "above 0 and more than one question",
            reason="EMPTY_VALIDATION",
        )
    _refuse_repeated_ids(items)
    return Selection(sorted(items, key=lambda item: item.line), reader.count, reader.sha256)


def _rank(item_id: str, seed: int) -> bytes:
    """A draw that depends on the row alone: rows added later change few of the chosen ones."""
    return hashlib.blake2b(item_id.encode(), key=seed.to_bytes(8, "big"), digest_size=16).digest()


class _RowReader:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._digest = hashlib.sha256()
        self._violations: list[Violation] = []
        self._broken = 0
        self.count = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def items(self) -> Iterator[Item]:
        with self._path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                self._digest.update(line)
                try:
                    yield _Row.model_validate_json(line).as_item(number)
                    self.count += 1
                except ValidationError as invalid:
                    self._broken += 1
                    for error in invalid.errors(include_url=False)[: _MAX_VIOLATIONS - len(self._violations)]:
                        place = ", ".join([f"validation.jsonl line {number}", *_pointer(error["loc"])])
                        self._violations.append(Violation(place, error["msg"]))

    def refuse_problems(self) -> None:
        if self._broken:
            first = self._violations[0]
            raise InvalidData(
                f"{self._broken} rows of validation.jsonl are not rows of a dataset version; "
                f"first: {first.field}: {first.description}",
                violations=self._violations,
            )


def _pointer(location: tuple[int | str, ...]) -> list[str]:
    """The JSON pointer of what is wrong; nothing when it is the whole row."""
    return ["/" + "/".join(map(str, location))] if location else []


def _refuse_repeated_ids(items: list[Item]) -> None:
    repeated = [item_id for item_id, count in Counter(item.id for item in items).items() if count > 1]
    if repeated:
        raise InvalidData(f"validation.jsonl holds more than one row with id {repeated[0]!r}: every row needs its own")
