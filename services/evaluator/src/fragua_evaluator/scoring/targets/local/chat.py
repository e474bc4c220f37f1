"""Speaks the model's chat template: writes prompts and weighed answers as tokens, and reads answers back."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from jinja2 import TemplateError
from transformers import AutoTokenizer, GenerationConfig, PreTrainedTokenizerBase

from fragua_evaluator.domain.arm import Message, Role
from fragua_evaluator.scoring.targets.template_digest import template_digest
from fragua_platform.errors import InvalidData, InvalidInput
from fragua_platform.foreign_code import CHAT_TEMPLATE

TEMPLATE_DATE = "26 Jul 2024"
"""Llama 3's templates print today's date unless told otherwise. Training, evaluation and export have to agree on it, and
the same question has to be the same prompt tomorrow: so the date is the one that these templates hold themselves."""

_DAY = datetime.datetime(2024, 7, 26)
_CLOCK = (
    "{% macro strftime_now(format) %}{{ format"
    + "".join(f"|replace('%{code}', '{_DAY.strftime('%' + code)}')" for code in "aAbBdeHIjmMpSyY")
    + "}}{% endmacro %}\n"
)
"""Stands before templates that ask the clock themselves, and hides the function by which they do. The line break belongs
to the tag: what follows prints what it printed before."""

_KNOWN_PROMPTS = 4_096
_UNSUPPORTED = "UNSUPPORTED_CHAT_TEMPLATE"


@dataclass(frozen=True)
class Continuation:
    """Tokens of which those from `start` on are weighed; what stands before them is the prompt."""

    tokens: tuple[int, ...]
    start: int


@dataclass
class Chat:
    tokenizer: PreTrainedTokenizerBase
    stop_ids: tuple[int, ...]
    end_of_turn: int
    """What the template writes after an answer; one of `stop_ids`."""
    _prompts: dict[tuple[Message, ...], tuple[int, ...]] = field(default_factory=dict)
    """Every question is put several times, and its prompt is asked for more often than that."""

    @cached_property
    def template_digest(self) -> str:
        return template_digest(lambda messages, opens_answer: self._render(messages, opens_answer=opens_answer))

    @property
    def prints_a_date(self) -> bool:
        template = str(self.tokenizer.get_chat_template())
        return "strftime_now" in template or "date_string" in template

    def prompt(self, messages: tuple[Message, ...]) -> tuple[int, ...]:
        """The tokens up to where the answer begins; raises InvalidData when the template refuses the messages."""
        known = self._prompts.get(messages)
        if known is None:
            if len(self._prompts) >= _KNOWN_PROMPTS:
                self._prompts.clear()
            known = self._prompts[messages] = self._encode(self._render(messages, opens_answer=True))
        return known

    def choices(self, messages: tuple[Message, ...], choices: Sequence[str]) -> list[Continuation]:
        """The question with each of the choices after it.

        Prompt and choice become tokens together, as they would in one text. What is weighed begins after the last
        token that the bare prompt, without the white space at its end, has in common with it: the split that
        lm-evaluation-harness makes, so that scores can be held against the ones which others publish.
        """
        if empty := [place for place, choice in enumerate(choices, start=1) if not choice.strip()]:
            raise InvalidData(f"choice {empty[0]} is empty, so it cannot be weighed", reason="EMPTY_CHOICE")
        prompt = self._render(messages, opens_answer=True)
        before = self._encode(prompt.rstrip())
        return [_continue(before, self._encode(prompt + choice)) for choice in choices]

    def answer(self, messages: tuple[Message, ...], expected: str) -> Continuation:
        """The question with its expected answer and the token that ends the turn, as the template writes them."""
        prompt = self._render(messages, opens_answer=True)
        before = self._encode(prompt)
        whole = self._render((*messages, Message(role=Role.ASSISTANT, content=expected)), opens_answer=False)
        if whole.startswith(prompt):
            written = _continue(before, self._encode(whole))
            ends = [place for place, token in enumerate(written.tokens) if token in self.stop_ids]
            if ends and ends[-1] >= written.start:
                return Continuation(written.tokens[: ends[-1] + 1], written.start)
        # Some templates write past answers in another way than they open a new one.
        spoken = _continue(before, self._encode(prompt + expected))
        return Continuation((*spoken.tokens, self.end_of_turn), spoken.start)

    def read(self, tokens: Sequence[int]) -> str:
        """The text of an answer without the token that ended it. Tokens that mark roles stay visible: a model which
        writes them in the middle of an answer must not look as if it had not."""
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def _encode(self, text: str) -> tuple[int, ...]:
        # The template wrote the special tokens already.
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _render(self, messages: Sequence[Message], *, opens_answer: bool) -> str:
        turns = [{"role": message.role.value, "content": message.content} for message in messages]
        try:
            return _apply(self.tokenizer, turns, opens_answer=opens_answer)
        except TemplateError as objection:
            raise InvalidData(
                f"the model's chat template refuses the messages: {objection}", reason=_UNSUPPORTED
            ) from objection


def _continue(before: tuple[int, ...], whole: tuple[int, ...]) -> Continuation:
    """Where a text becomes other tokens once it goes on, those tokens belong to what follows."""
    shared = min(len(before), len(whole))
    start = next((place for place in range(shared) if before[place] != whole[place]), shared)
    return Continuation(whole, start)


def open_chat(directory: Path) -> Chat:
    """Read everything about speaking with the model, or raise InvalidInput that says what is missing."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    except Exception as broken:  # The libraries below raise whatever they like at a damaged file.
        raise InvalidInput(f"the tokenizer of {directory.name} cannot be opened: {broken}") from broken
    if not tokenizer.chat_template:
        raise InvalidInput(
            f"{directory.name} has no chat template, so nobody can tell how to ask it: "
            "add chat_template.jinja, or take its instruction-tuned variant",
            reason=_UNSUPPORTED,
        )
    end_of_turn = _end_of_turn(tokenizer)
    stops = {tokenizer.eos_token_id, end_of_turn, *_named_stops(directory)} - {None}
    if not stops:
        raise InvalidInput(f"{directory.name} names no token that ends a turn: set eos_token in tokenizer_config.json")
    stop_ids = tuple(sorted(int(stop) for stop in stops if stop is not None))
    fallback = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else stop_ids[0]
    return Chat(tokenizer, stop_ids, end_of_turn if end_of_turn is not None else fallback)


def _named_stops(directory: Path) -> set[int]:
    """Chat models often end a turn with another token than the tokenizer's; a missed one makes every answer run on."""
    if not (directory / "generation_config.json").is_file():
        return set()
    try:
        named = GenerationConfig.from_pretrained(directory, local_files_only=True).eos_token_id
    except (OSError, ValueError, TypeError) as broken:
        raise InvalidInput(f"generation_config.json of {directory.name} cannot be read: {broken}") from broken
    return set(named) if isinstance(named, list) else {named} if named is not None else set()


def _end_of_turn(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """What the template writes after an answer, when that is a token of its own."""
    answer = "answer"
    turns = [{"role": "user", "content": "question"}, {"role": "assistant", "content": answer}]
    try:
        text = _apply(tokenizer, turns, opens_answer=False)
    except TemplateError as objection:
        raise InvalidInput(
            f"the model's chat template refuses a question and its answer: {objection}", reason=_UNSUPPORTED
        ) from objection
    after = tokenizer(text[text.rindex(answer) + len(answer) :], add_special_tokens=False)["input_ids"]
    is_marked = after and after[0] in tokenizer.all_special_ids + list(tokenizer.added_tokens_decoder)
    return int(after[0]) if is_marked else None


def _apply(tokenizer: PreTrainedTokenizerBase, turns: list[dict[str, str]], *, opens_answer: bool) -> str:
    template = str(tokenizer.get_chat_template())
    return CHAT_TEMPLATE.run(
        lambda: str(
            tokenizer.apply_chat_template(
                turns,
                chat_template=_CLOCK + template if "strftime_now" in template else template,
                tokenize=False,
                add_generation_prompt=opens_answer,
                date_string=TEMPLATE_DATE,
            )
        )
    )
