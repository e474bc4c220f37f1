"""Finds the rows that would lose their answer, or the end of it, at the maximum length that a base model is trained at.

Rows are written out and counted as transformers does it, by the tokenizer's files alone: neither transformers nor torch
is needed, and no code of a model is run.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Template, TemplateError, TemplateSyntaxError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from fragua_dataset.domain.version_report import TruncationReport
from fragua_dataset.ingestion.reading import Message
from fragua_platform.errors import InvalidInput
from fragua_platform.foreign_code import CHAT_TEMPLATE

_SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
# What a template can raise about a row; its own objections are TemplateErrors.
_TEMPLATE_FAILURES = (TemplateError, TypeError, ValueError, LookupError, ArithmeticError)


@dataclass(frozen=True)
class Cut:
    """A row whose answer does not get through whole."""

    answer_lost: bool
    """Nothing of the answer is left."""
    description: str


class Truncation:
    """What one tokenizer does to rows at its maximum length, when what is too much is cut off at the end.

    The answer is the last message; with it goes the token that ends the turn, without which a model never learns to
    stop. A row is told, too, if all that is too much is what the template writes after that token: a training takes
    rows whole or not at all.
    """

    def __init__(self, folder: Path, max_length: int) -> None:
        """`folder` holds `tokenizer.json`, and a chat template in `chat_template.jinja` or `tokenizer_config.json`."""
        self._name = folder.name
        self._max_length = max_length
        self._tokenizer = _open_tokenizer(folder)
        self._chat = _ChatTemplate(folder)
        added = self._tokenizer.get_added_tokens_decoder()
        self._special_ids = {number for number, token in added.items() if token.special}
        self._longest = 0
        self._rows_cut = 0
        self._rows_without_answer = 0

    def add(self, messages: Sequence[Message]) -> Cut | None:
        return self.add_all([messages])[0]

    def add_all(self, rows: Sequence[Sequence[Message]]) -> list[Cut | None]:
        """The same for many rows, several times as fast."""
        rendered = [self._render(messages) for messages in rows]
        texts = [text for text in rendered if isinstance(text, str)]
        lengths = iter(
            [len(encoding) for encoding in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
        )
        cuts: list[Cut | None] = []
        for messages, text in zip(rows, rendered, strict=True):
            cut = text if isinstance(text, Cut) else self._cut(messages, text, next(lengths))
            if cut:
                self._rows_cut += 1
                self._rows_without_answer += cut.answer_lost
            cuts.append(cut)
        return cuts

    def report(self) -> TruncationReport:
        return TruncationReport(
            tokenizer=self._name,
            max_length=self._max_length,
            longest=self._longest,
            rows_cut=self._rows_cut,
            rows_without_answer=self._rows_without_answer,
        )

    def _render(self, messages: Sequence[Message]) -> str | Cut:
        try:
            return self._chat.render(messages)
        except _TEMPLATE_FAILURES as objection:
            return Cut(True, f"the chat template of {self._name!r} refuses the messages: {objection}")

    def _cut(self, messages: Sequence[Message], text: str, length: int) -> Cut | None:
        self._longest = max(self._longest, length)
        if length <= self._max_length:
            return None
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        start = self._answer_start(messages, text)
        first = next((at for at, (begins, _) in enumerate(encoding.offsets) if begins >= start), length)
        last = next((at for at in range(first, length) if encoding.ids[at] in self._special_ids), length - 1)
        if last < self._max_length:
            ending = f"{length - last - 1} of them after the end of the answer"
            return Cut(False, f"{self._name!r} needs {length} tokens, {ending}, and keeps {self._max_length}")
        description = f"{self._name!r} needs {last + 1} tokens up to the end of the answer and keeps {self._max_length}"
        if first < self._max_length:
            return Cut(False, description)
        return Cut(True, f"{description}: nothing of the answer is left")

    def _answer_start(self, messages: Sequence[Message], text: str) -> int:
        """Where in the text the answer begins: after what the model is asked with."""
        try:
            asked = self._chat.render(messages[:-1], add_generation_prompt=True)
        except _TEMPLATE_FAILURES:
            asked = None
        if asked is not None and text.startswith(asked):
            return len(asked)
        # Some templates write the turns before differently once the answer is there.
        return max(0, text.rfind(messages[-1]["content"].strip()))


def _open_tokenizer(folder: Path) -> Tokenizer:
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise InvalidInput(f"tokenizer {folder.name!r} has no tokenizer.json: convert it to the fast format")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as broken:  # the library raises nothing narrower
        raise InvalidInput(f"tokenizer {folder.name!r}: tokenizer.json cannot be read: {broken}") from broken
    # Some were saved while they were set up to cut or to fill, and every row would seem to fit.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


class _ChatTemplate:
    """A base model's chat template, with the settings and functions that transformers gives to templates."""

    def __init__(self, folder: Path) -> None:
        config = _read_config(folder)
        self._special_tokens = {name: _content(config[name]) for name in _SPECIAL_TOKENS if config.get(name)}
        try:
            source = _template_source(folder, config)
            # Jinja computes what is constant when it reads a template.
            self._template = CHAT_TEMPLATE.run(lambda: _environment().from_string(source))
        except TemplateSyntaxError as broken:
            message = f"tokenizer {folder.name!r}: line {broken.lineno} of its chat template cannot be read: {broken}"
            raise InvalidInput(message) from broken

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = False) -> str:
        template: Template = self._template
        return CHAT_TEMPLATE.run(
            lambda: template.render(
                messages=list(messages),
                tools=None,
                documents=None,
                add_generation_prompt=add_generation_prompt,
                **self._special_tokens,
            )
        )


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "tokenizer_config.json"
    if not path.is_file():
        return {}
    try:
        config = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as broken:
        raise InvalidInput(f"tokenizer {folder.name!r}: tokenizer_config.json is no JSON: {broken}") from broken
    if not isinstance(config, dict):
        raise InvalidInput(f"tokenizer {folder.name!r}: tokenizer_config.json is not an object")
    return config


def _template_source(folder: Path, config: dict[str, Any]) -> str:
    path = folder / "chat_template.jinja"
    template = path.read_text("utf-8") if path.is_file() else config.get("chat_template")
    if isinstance(template, list):
        template = {named["name"]: named["template"] for named in template}.get("default")
    if not isinstance(template, str) or not template:
        message = f"tokenizer {folder.name!r} has no chat template: add chat_template.jinja, or take the tokenizer of "
        raise InvalidInput(f"{message}an instruction-tuned model")
    return template


def _content(token: str | dict[str, Any]) -> str:
    return token if isinstance(token, str) else str(token["content"])


class _Generation(Extension):
    """`{% generation %}` marks in a template what a model says; it changes nothing of the text."""

    tags = {"generation"}  # noqa: RUF012 - as jinja2 declares it

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True)).set_lineno(line)


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Unlike jinja2's own, leaves HTML characters as they are."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise(message: str) -> None:
    raise TemplateError(message)
