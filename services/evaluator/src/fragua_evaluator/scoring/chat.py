"""Speaks the base model's chat template: writes the prompts and knows the tokens that end a turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import TemplateError
from transformers import AutoConfig, AutoTokenizer, GenerationConfig, PreTrainedTokenizerBase

from fragua_evaluator.scoring.items import Item
from fragua_platform.errors import InvalidData, InvalidInput, Violation

_MAX_VIOLATIONS = 20


@dataclass(frozen=True)
class Chat:
    tokenizer: PreTrainedTokenizerBase
    stop_ids: tuple[int, ...]
    pad_id: int
    vocabulary_size: int
    """Rows of the model's embedding; a token id beyond them has no vector."""
    context_length: int | None

    def prompts(self, items: Sequence[Item], max_new_tokens: int) -> list[list[int]]:
        """Token ids of each question; refuses, with their lines, those that leave no room for an answer."""
        texts = [self._render(item) for item in items]
        # The template wrote the special tokens already.
        prompts: list[list[int]] = self.tokenizer(texts, add_special_tokens=False)["input_ids"]
        if max(map(max, prompts)) >= self.vocabulary_size:
            raise InvalidInput(
                f"the tokenizer of the base writes token {max(map(max, prompts))}, but the model has "
                f"{self.vocabulary_size} embeddings: this tokenizer belongs to another model"
            )
        if self.context_length is not None:
            room = self.context_length - max_new_tokens
            self._refuse_long([(item, len(prompt)) for item, prompt in zip(items, prompts, strict=True)], room)
        return prompts

    def _render(self, item: Item) -> str:
        try:
            return str(self.tokenizer.apply_chat_template(item.prompt, tokenize=False, add_generation_prompt=True))
        except TemplateError as objection:
            raise InvalidData(
                f"validation.jsonl line {item.line}: the base's chat template refuses its messages: {objection}"
            ) from objection

    def _refuse_long(self, lengths: list[tuple[Item, int]], room: int) -> None:
        long = [(item, length) for item, length in lengths if length > room]
        if long:
            raise InvalidData(
                f"{len(long)} questions do not fit the base's context of {self.context_length} tokens together with "
                f"an answer of max_new_tokens = {self.context_length and self.context_length - room}; "
                "lower max_new_tokens or shorten them",
                reason="PROMPT_TOO_LONG",
                violations=[
                    Violation(f"validation.jsonl line {item.line}", f"takes {length} tokens, {room} are free")
                    for item, length in long[:_MAX_VIOLATIONS]
                ],
            )


def open_chat(base: Path) -> Chat:
    """Read everything about the base but its weights, or raise InvalidInput that says what is missing."""
    if not (base / "config.json").is_file():
        raise InvalidInput("the base model has no config.json: it must be a Hugging Face model directory")
    try:
        config = AutoConfig.from_pretrained(base, local_files_only=True, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as broken:
        raise InvalidInput(f"the base model cannot be opened: {broken}") from broken
    if not tokenizer.chat_template:
        raise InvalidInput(
            "the base model has no chat template, so nobody can tell how to ask it: "
            "add chat_template.jinja, or take its instruction-tuned variant",
            reason="UNSUPPORTED_CHAT_TEMPLATE",
        )
    stop_ids = _stop_ids(base, tokenizer)
    if not stop_ids:
        raise InvalidInput("the base model names no token that ends a turn: set eos_token in tokenizer_config.json")
    text_config = config.get_text_config()
    pad_id = tokenizer.pad_token_id
    return Chat(
        tokenizer=tokenizer,
        stop_ids=stop_ids,
        # What is padded is masked, so any token of the embedding will do.
        pad_id=pad_id if pad_id is not None and pad_id < text_config.vocab_size else stop_ids[0],
        vocabulary_size=text_config.vocab_size,
        context_length=getattr(text_config, "max_position_embeddings", None),
    )


def _stop_ids(base: Path, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """The tokenizer's end of text, those of generation_config.json, and what the template writes after an answer.

    Chat models often end a turn with another token than the tokenizer's; a missed one makes every answer run on.
    """
    stops = {tokenizer.eos_token_id, _end_of_turn(tokenizer)}
    if (base / "generation_config.json").is_file():
        named = GenerationConfig.from_pretrained(base, local_files_only=True).eos_token_id
        stops |= set(named) if isinstance(named, list) else {named}
    return tuple(sorted(stop for stop in stops if stop is not None))


def _end_of_turn(tokenizer: PreTrainedTokenizerBase) -> int | None:
    answer = "answer"
    turns = [{"role": "user", "content": "question"}, {"role": "assistant", "content": answer}]
    try:
        text = str(tokenizer.apply_chat_template(turns, tokenize=False))
    except TemplateError as objection:
        raise InvalidInput(
            f"the base's chat template refuses a question and its answer: {objection}",
            reason="UNSUPPORTED_CHAT_TEMPLATE",
        ) from objection
    after = tokenizer(text[text.rindex(answer) + len(answer) :], add_special_tokens=False)["input_ids"]
    return after[0] if after and after[0] in tokenizer.all_special_ids + list(tokenizer.added_tokens_decoder) else None
