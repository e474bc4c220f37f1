"""Turns canonical dataset rows into token ids and labels, and refuses every row that would not teach its answer.

The supervised part of a row is what the model has to write itself when it is asked: for each assistant turn, the tokens
after the generation prompt up to and including the token that ends the turn. All else carries the label `IGNORED`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from jinja2 import TemplateError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from transformers import PreTrainedTokenizerBase

from fragua_platform.errors import InvalidData, Violation
from fragua_trainer.training.batch import IGNORED, Example
from fragua_trainer.training.chat_text import render_chat

VIOLATIONS_SHOWN = 50
ROWS_AT_ONCE = 1000


@dataclass(frozen=True)
class ChatFormat:
    """How the base model reads and writes a conversation."""

    tokenizer: PreTrainedTokenizerBase
    end_of_turn: frozenset[int]
    """The tokens at which generation stops."""
    vocabulary_size: int
    """Rows of the model's embedding; a token id beyond them has no vector."""
    max_length: int
    limit_name: str
    """Where `max_length` comes from, for messages."""


@dataclass(frozen=True)
class Split:
    """One file of a dataset version, ready to train or measure on."""

    examples: list[Example]
    sha256: str
    """Of the file that the examples were read from."""

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def supervised_tokens(self) -> int:
        return sum(label != IGNORED for example in self.examples for label in example.labels)


@dataclass(frozen=True)
class Dataset:
    train: Split
    validation: Split
    """May be empty: then no validation loss is measured."""


@dataclass(frozen=True)
class _Problem:
    file: str
    line: int
    place: str
    description: str

    def as_violation(self) -> Violation:
        where = f"{self.file} line {self.line}"
        return Violation(f"{where}, {self.place}" if self.place else where, self.description)


class _RowError(Exception):
    """The row at hand cannot be used; `place` says where in it."""

    def __init__(self, description: str, place: str = "") -> None:
        super().__init__(description)
        self.description = description
        self.place = place


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)

    role: Literal["system", "user", "assistant"]
    content: str


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: str = ""
    messages: list[_Message] = Field(min_length=1)


@dataclass(frozen=True)
class _Rendered:
    """A row as text, with the places in it where the model has to go on by itself."""

    line: int
    text: str
    answer_starts: list[int]
    id: str


def load_examples(directory: Path, chat: ChatFormat, on_progress: Callable[[str], None]) -> Dataset:
    """Read and tokenise both splits, or raise `InvalidData` with one violation per unusable line of either."""
    problems: list[_Problem] = []
    train = _load_split(directory / "train.jsonl", chat, problems, on_progress)
    validation = _load_split(directory / "validation.jsonl", chat, problems, on_progress)
    if problems:
        raise _unusable(problems)
    if not train.examples:
        raise InvalidData("train.jsonl holds no rows: there is nothing to train on")
    return Dataset(train, validation)


def _load_split(path: Path, chat: ChatFormat, problems: list[_Problem], on_progress: Callable[[str], None]) -> Split:
    if not path.is_file():
        raise InvalidData(f"{path.name} is missing: a dataset version holds train.jsonl and validation.jsonl")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    examples: list[Example] = []
    rendered = _render_rows(path, chat.tokenizer, problems)
    while rows := list(islice(rendered, ROWS_AT_ONCE)):
        examples.extend(_tokenise(rows, chat, path.name, problems))
        on_progress(f"{path.name}: {rows[-1].line} rows read")
    return Split(examples, digest)


def _render_rows(path: Path, tokenizer: PreTrainedTokenizerBase, problems: list[_Problem]) -> Iterator[_Rendered]:
    control_tokens = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = _Row.model_validate_json(line)
                _refuse_control_tokens(row, control_tokens)
                yield _render(row, number, tokenizer)
            except ValidationError as invalid:
                for problem in invalid.errors(include_url=False):
                    problems.append(_Problem(path.name, number, _json_path(problem["loc"]), problem["msg"]))
            except _RowError as refused:
                problems.append(_Problem(path.name, number, refused.place, refused.description))


def _refuse_control_tokens(row: _Row, control_tokens: list[str]) -> None:
    """A control token written out in a message would open or close turns in the middle of it."""
    for index, message in enumerate(row.messages):
        for token in control_tokens:
            if token in message.content:
                raise _RowError(
                    f"holds {token!r}, a control token of the base model: remove it or write it differently",
                    f"messages[{index}].content",
                )


def _render(row: _Row, line: int, tokenizer: PreTrainedTokenizerBase) -> _Rendered:
    messages = [message.model_dump() for message in row.messages]
    answers = [index for index, message in enumerate(row.messages) if message.role == "assistant"]
    if not answers:
        raise _RowError("no message has the role assistant, so there is nothing to learn", "messages")
    starts = []
    try:
        text = render_chat(tokenizer, messages)
        for index in answers:
            if not row.messages[index].content.strip():
                raise _RowError("is empty, so there is nothing to learn", f"messages[{index}].content")
            asked = render_chat(tokenizer, messages[:index], open_answer=True)
            if not text.startswith(asked):
                raise _RowError(
                    "the base's chat template writes the conversation before this turn differently once it is there",
                    f"messages[{index}]",
                )
            starts.append(len(asked))
    except TemplateError as objection:
        raise _RowError(f"the base's chat template refuses them: {objection}", "messages") from objection
    return _Rendered(line, text, starts, row.id)


def _tokenise(rows: list[_Rendered], chat: ChatFormat, file: str, problems: list[_Problem]) -> Iterator[Example]:
    encoded = chat.tokenizer(
        [row.text for row in rows],
        add_special_tokens=False,  # the template wrote them
        return_offsets_mapping=True,
        return_attention_mask=False,
    )
    for row, tokens, offsets in zip(rows, encoded["input_ids"], encoded["offset_mapping"], strict=True):
        try:
            yield _supervise(row, tokens, offsets, chat)
        except _RowError as refused:
            problems.append(_Problem(file, row.line, refused.place, refused.description))


def _supervise(row: _Rendered, tokens: list[int], offsets: list[tuple[int, int]], chat: ChatFormat) -> Example:
    if len(tokens) > chat.max_length:
        raise _RowError(
            f"takes {len(tokens)} tokens, more than {chat.limit_name} = {chat.max_length}: "
            "the end of its answer would be cut; shorten the row or raise the limit"
        )
    if max(tokens) >= chat.vocabulary_size:
        raise _RowError(
            f"holds token {max(tokens)}, but the base model has {chat.vocabulary_size} embeddings: "
            "this tokenizer belongs to another model"
        )
    labels = [IGNORED] * len(tokens)
    for start in row.answer_starts:
        first = next((at for at, (begins, _) in enumerate(offsets) if begins >= start), len(tokens))
        last = next((at for at in range(first, len(tokens)) if tokens[at] in chat.end_of_turn), None)
        if last is None:
            raise _RowError(
                "the base's chat template closes the answer with no token that stops generation, so a model trained "
                "on it would never stop; name that token in eos_token or in generation_config.json"
            )
        labels[first : last + 1] = tokens[first : last + 1]
    return Example(tokens, labels, row.id)


def _json_path(location: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")


def _unusable(problems: list[_Problem]) -> InvalidData:
    """Rows are read and tokenised in turns, so the problems come together here and are put in the order of the file."""
    problems.sort(key=lambda problem: (problem.file, problem.line))
    shown = [problem.as_violation() for problem in problems[:VIOLATIONS_SHOWN]]
    lines = len({(problem.file, problem.line) for problem in problems})
    message = f"{lines} rows cannot be trained on; {shown[0].field}: {shown[0].description}"
    if len(problems) > VIOLATIONS_SHOWN:
        message += f" (the first {VIOLATIONS_SHOWN} of {len(problems)} problems are listed)"
    return InvalidData(message, violations=shown)
