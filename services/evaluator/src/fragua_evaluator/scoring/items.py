"""Chooses the questions of a suite: held-out rows and the suite's own cases, drawn by seed, the same for all arms."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, ValidationError, model_validator

from fragua_evaluator.domain.arm import Message, Role
from fragua_evaluator.domain.suite import Case, SuiteKind, SuiteSpec
from fragua_evaluator.scoring.item import Item
from fragua_platform.errors import InvalidData, InvalidInput, Violation

_MAX_VIOLATIONS = 20


@dataclass(frozen=True)
class Questionnaire:
    """A suite with the items that it asks."""

    suite: SuiteSpec
    items: tuple[Item, ...]
    available: int
    """Items that could have been asked."""
    sha256: str
    """Of everything that the items were drawn from."""


class _Row(BaseModel):
    """A row of a dataset version, as far as it is asked."""

    id: Annotated[str, Field(min_length=1, max_length=128)]
    messages: Annotated[list[Message], Field(min_length=2)]
    choices: Annotated[list[str], Field(min_length=2, max_length=len(ascii_uppercase))] | None = None
    answer: int | None = None
    record: dict[str, Any] | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _ends_with_an_answer(self) -> Self:
        if self.messages[-1].role is not Role.ASSISTANT or not self.messages[-1].content.strip():
            raise ValueError("the last message must be the expected answer of the assistant")
        if self.choices is not None and (self.answer is None or not 0 <= self.answer < len(self.choices)):
            raise ValueError("a row with choices needs `answer`, the index of the right one")
        return self

    def _answers(self) -> tuple[str, ...] | None:
        """Each choice as the dataset service writes the right one into the assistant's turn."""
        if self.choices is None:
            return None
        return tuple(f"{letter}) {choice}" for letter, choice in zip(ascii_uppercase, self.choices, strict=False))

    def as_item(self, suite: SuiteSpec, line: int) -> Item:
        *asked, answer = self.messages
        return Item(
            suite=suite.name,
            id=self.id,
            place=f"{suite.name}: line {line}",
            tag=str(self.metadata.get(suite.tag_field, "")),
            messages=tuple(asked),
            expected=answer.content,
            choices=self._answers(),
            right_choice=self.answer,
            metadata=self.metadata | ({"record": self.record} if self.record else {}),
        )


def load_questionnaire(suite: SuiteSpec, inputs: Path, seed: int) -> Questionnaire:
    """Raises InvalidData that names every broken row, or says that there is nothing to ask."""
    reader = _Reader(suite)
    # Only what is asked stays in memory, however long the file is.
    drawn = heapq.nsmallest(suite.max_items, reader.items(inputs), key=lambda item: _rank(item.id, seed))
    reader.refuse_problems()
    if not drawn:
        raise InvalidData(_nothing_to_ask(suite), reason="EMPTY_SUITE")
    _refuse_repeated_ids(suite, drawn)
    return Questionnaire(suite, tuple(sorted(drawn, key=reader.order)), reader.count, reader.sha256)


def _rank(item_id: str, seed: int) -> bytes:
    """A draw that depends on the row alone: rows added later change few of the chosen ones."""
    return hashlib.blake2b(item_id.encode(), key=seed.to_bytes(8, "big"), digest_size=16).digest()


class _Reader:
    def __init__(self, suite: SuiteSpec) -> None:
        self._suite = suite
        self._digest = hashlib.sha256()
        self._violations: list[Violation] = []
        self._broken = 0
        self._places: dict[str, int] = {}
        self.count = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def items(self, inputs: Path) -> Iterator[Item]:
        for case in self._suite.cases:
            self._digest.update(case.model_dump_json().encode())
            yield self._counted(_case_as_item(self._suite, case))
        if self._suite.rows is not None:
            yield from self._rows(inputs / self._suite.rows)

    def order(self, item: Item) -> int:
        """Cases first, then rows, as they stand."""
        return self._places[item.place]

    def _rows(self, path: Path) -> Iterator[Item]:
        if not path.is_file():
            raise InvalidInput(f"{self._suite.name}: inputs/{self._suite.rows} is missing")
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                self._digest.update(line)
                try:
                    row = _Row.model_validate_json(line)
                except ValidationError as invalid:
                    self._note(number, invalid)
                    continue
                if self._suite.kind is not SuiteKind.MULTIPLE_CHOICE or row.choices:
                    yield self._counted(row.as_item(self._suite, number))

    def _counted(self, item: Item) -> Item:
        self.count += 1
        self._places[item.place] = self.count
        return item

    def _note(self, number: int, invalid: ValidationError) -> None:
        self._broken += 1
        for error in invalid.errors(include_url=False)[: _MAX_VIOLATIONS - len(self._violations)]:
            place = ", ".join([f"{self._suite.name}: line {number}", *_pointer(error["loc"])])
            self._violations.append(Violation(place, error["msg"]))

    def refuse_problems(self) -> None:
        if self._broken:
            first = self._violations[0]
            raise InvalidData(
                f"{self._suite.name}: {self._broken} lines are not rows of a dataset version; "
                f"first: {first.field}: {first.description}",
                violations=self._violations,
            )


def _case_as_item(suite: SuiteSpec, case: Case) -> Item:
    return Item(
        suite=suite.name,
        id=case.id,
        place=f"{suite.name}: case {case.id}",
        tag=case.tag,
        messages=case.messages,
        expected=case.expected,
        metadata=case.metadata,
    )


def _pointer(location: tuple[int | str, ...]) -> list[str]:
    """The JSON pointer of what is wrong; nothing when it is the whole row."""
    return ["/" + "/".join(map(str, location))] if location else []


def _nothing_to_ask(suite: SuiteSpec) -> str:
    if suite.kind is SuiteKind.MULTIPLE_CHOICE:
        return f"{suite.name}: no held-out row has choices; ask a dataset version of multiple-choice questions"
    return (
        f"{suite.name}: nothing was held out, so there is nothing to ask: import the data again with a "
        "validation_fraction above 0 and more than one question, or to evaluate with"
    )


def _refuse_repeated_ids(suite: SuiteSpec, items: list[Item]) -> None:
    if repeated := [item_id for item_id, count in Counter(item.id for item in items).items() if count > 1]:
        raise InvalidData(f"{suite.name}: more than one row has the id {repeated[0]!r}; every row needs its own")
