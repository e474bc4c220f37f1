"""What quantization costs at the work the model was trained for: held-out rows, answered by each file and scored."""

from __future__ import annotations

import hashlib
import heapq
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Annotated, Literal

import jinja2
from pydantic import BaseModel, Field, ValidationError

from fragua_exporter.conversion.trained_tokenizer import TrainedTokenizer
from fragua_platform.errors import InvalidData, Violation

_SEED = b"fragua task rows"
_MAX_VIOLATIONS = 20
_MAX_ANSWER_TOKENS = 512


class _Message(BaseModel):
    role: Literal["system", "user", "assistant"]
    content: str


class _Row(BaseModel):
    id: Annotated[str, Field(min_length=1, max_length=128)]
    messages: Annotated[list[_Message], Field(min_length=2)]


@dataclass(frozen=True)
class Question:
    token_ids: tuple[int, ...]
    expected: str


@dataclass(frozen=True)
class Task:
    questions: tuple[Question, ...]
    max_tokens: int
    """An answer that is longer than every expected one by a quarter is no better for going on."""


@dataclass(frozen=True)
class Score:
    rows: int
    exact_match: float
    """Share of answers that are the expected one, but for white space."""
    token_f1: float
    """Mean overlap with the words of the expected answer, from 0 to 1."""


def load_task(path: Path, rows: int, tokenizer: TrainedTokenizer, context_length: int) -> Task:
    """At most `rows` of the file, always the same ones; raises InvalidData that names every row that cannot be asked."""
    problems: list[Violation] = []
    # A draw that depends on the row alone: rows added later change few of the chosen ones.
    chosen = heapq.nsmallest(rows, _read(path, problems), key=lambda row: _rank(row[1].id))
    if not chosen and not problems:
        raise InvalidData(f"{path.name} holds no rows, so there is nothing to ask; leave the task dataset out")
    questions = {}
    for line, row in sorted(chosen, key=lambda row: row[0]):
        *prompt, answer = (message.model_dump() for message in row.messages)
        try:
            questions[line] = Question(tokenizer.encode(tokenizer.render(prompt)), answer["content"])
        except jinja2.TemplateError as objection:
            problems.append(_problem(path, line, f"the base's chat template refuses its messages: {objection}"))
    longest = max((len(tokenizer.encode(question.expected)) for question in questions.values()), default=0)
    max_tokens = min(longest + longest // 4 + 8, _MAX_ANSWER_TOKENS)
    problems += [
        _problem(path, line, f"takes {len(question.token_ids)} tokens, {context_length - max_tokens} are free")
        for line, question in questions.items()
        if len(question.token_ids) > context_length - max_tokens
    ]
    if problems:
        raise InvalidData(
            f"{len(problems)} rows of {path.name} cannot be asked; first: {problems[0].field}: {problems[0].description}",
            violations=problems[:_MAX_VIOLATIONS],
        )
    return Task(tuple(questions.values()), max_tokens)


def score(task: Task, answers: Sequence[str]) -> Score:
    pairs = [(_plain(answer), _plain(q.expected)) for answer, q in zip(answers, task.questions, strict=True)]
    return Score(
        rows=len(pairs),
        exact_match=fmean(answer == expected for answer, expected in pairs),
        token_f1=fmean(_token_f1(_words(answer), _words(expected)) for answer, expected in pairs),
    )


def _read(path: Path, problems: list[Violation]) -> Iterator[tuple[int, _Row]]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = _Row.model_validate_json(line)
            except ValidationError as invalid:
                problems += [_problem(path, number, error["msg"]) for error in invalid.errors()]
                continue
            if row.messages[-1].role == "assistant":
                yield number, row
            else:
                problems.append(_problem(path, number, "the last message must be the expected answer of the assistant"))


def _problem(path: Path, line: int, description: str) -> Violation:
    return Violation(f"{path.name} line {line}", description)


def _rank(row_id: str) -> bytes:
    return hashlib.blake2b(row_id.encode(), key=_SEED, digest_size=16).digest()


def _plain(text: str) -> str:
    """One way to write what reads the same: composed accents, single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def _words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text.casefold())


def _token_f1(answer: list[str], expected: list[str]) -> float:
    shared = (Counter(answer) & Counter(expected)).total()
    # 2PR / (P + R), written so that nothing is divided by zero.
    return 2 * shared / (len(answer) + len(expected)) if shared else 0.0
