"""A GGUF file that answers in llama.cpp, several questions side by side."""

from __future__ import annotations

import hashlib
import time
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import llama_cpp

from fragua_evaluator.domain.arm import Decoding, GgufModel, Limits
from fragua_evaluator.domain.report import Answer
from fragua_evaluator.scoring.targets.gguf_chat import GgufChat
from fragua_evaluator.scoring.targets.gguf_context import GgufContext, Logits, StopReading, affordable, open_context
from fragua_evaluator.scoring.targets.gguf_model import GgufFile
from fragua_evaluator.scoring.targets.gguf_speaker import Speaker
from fragua_evaluator.scoring.targets.gguf_weighing import weigh_choices, weigh_text
from fragua_evaluator.scoring.targets.port import ChoiceQuestion, Identity, Question, StopRequested, TextQuestion
from fragua_platform.errors import InvalidData, Violation
from fragua_platform.jobs.engine import prepare_libraries

_TOGETHER: Final = 8
"""Answers at once: a step costs little more for eight than for one, because it waits for the weights."""
_CHOICES_TOGETHER: Final = 32
_MAX_VIOLATIONS: Final = 20


class GgufTarget:
    def __init__(self, model: GgufModel, inputs: Path, decoding: Decoding, limits: Limits) -> None:
        self._decoding = decoding
        self._limits = limits
        self._threads = prepare_libraries()
        self._file = GgufFile(inputs / model.file)
        try:
            self._chat = GgufChat(self._file)
        except BaseException:
            self._file.close()
            raise
        self.identity = self._identify(model.file)

    def refuse_unfit(self, questions: Sequence[Question | ChoiceQuestion | TextQuestion]) -> None:
        problems = [problem for question in questions if (problem := self._unfit(question))]
        if problems:
            raise InvalidData(
                f"{len(problems)} questions cannot be put to {self._file.name}, whose context is "
                f"{self._file.context_length} tokens; shorten them, or lower max_new_tokens",
                reason="PROMPT_TOO_LONG",
                violations=problems[:_MAX_VIOLATIONS],
            )

    def prompt_digest(self, question: Question | ChoiceQuestion | TextQuestion) -> str | None:
        tokens = self._chat.prompt(question.messages, question.key)
        return hashlib.sha256(array("I", tokens).tobytes()).hexdigest()

    def generate(self, questions: Sequence[Question], stop_requested: StopRequested) -> Iterator[tuple[str, Answer]]:
        if not questions:
            return
        prompts = {question.key: self._chat.prompt(question.messages, question.key) for question in questions}
        length = max(len(prompts[question.key]) + question.max_new_tokens for question in questions)
        together = affordable(self._file, length, min(_TOGETHER, len(questions)))
        with open_context(
            self._file,
            conversations=together,
            length=length,
            shared=False,
            threads=self._threads,
            stop_requested=stop_requested,
        ) as context:
            try:
                _warm_up(context, prompts[questions[0].key][0])
                yield from self._speak(context, together, deque(questions), prompts)
            except StopReading:
                return

    def weigh_choices(
        self, questions: Sequence[ChoiceQuestion], stop_requested: StopRequested
    ) -> Iterator[tuple[str, Answer]]:
        if not questions:
            return
        prompts = [self._chat.prompt(question.messages, question.key) for question in questions]
        choices = [
            [self._chat.answer(question.messages, choice, question.key) for choice in question.choices]
            for question in questions
        ]
        cells = max(len(prompt) + sum(map(len, each)) for prompt, each in zip(prompts, choices, strict=True))
        together = min(max(map(len, choices)), _CHOICES_TOGETHER)
        with open_context(
            self._file,
            conversations=together + 1,
            length=cells,
            shared=True,
            threads=self._threads,
            stop_requested=stop_requested,
        ) as context:
            try:
                _warm_up(context, prompts[0][0])
                for question, prompt, each in zip(questions, prompts, choices, strict=True):
                    yield question.key, weigh_choices(context, prompt, each, together)
            except StopReading:
                return

    def weigh_texts(
        self, questions: Sequence[TextQuestion], stop_requested: StopRequested
    ) -> Iterator[tuple[str, Answer]]:
        if not questions:
            return
        texts = [(self._chat.prompt(q.messages, q.key), self._expected(q)) for q in questions]
        with open_context(
            self._file,
            conversations=1,
            length=max(len(prompt) + len(expected) for prompt, expected in texts),
            shared=False,
            threads=self._threads,
            stop_requested=stop_requested,
        ) as context:
            try:
                _warm_up(context, texts[0][0][0])
                for question, (prompt, expected) in zip(questions, texts, strict=True):
                    yield question.key, weigh_text(context, prompt, expected)
            except StopReading:
                return

    def close(self) -> None:
        self._file.close()

    def _speak(
        self, context: GgufContext, together: int, waiting: deque[Question], prompts: dict[str, list[int]]
    ) -> Iterator[tuple[str, Answer]]:
        """Whoever has ended makes room for the next question at once."""
        free = list(range(together))
        speaking: list[Speaker] = []
        while waiting or speaking:
            while waiting and free:
                question = waiting.popleft()
                speaker = Speaker(question, free.pop(), len(prompts[question.key]), self._decoding)
                _read_prompt(context, speaker, prompts[question.key])
                speaking.append(speaker)
            ended = [speaker for speaker in speaking if speaker.has_ended(self._chat.ends)]
            speaking = [speaker for speaker in speaking if speaker not in ended]
            for speaker in ended:
                context.forget(speaker.conversation)
                free.append(speaker.conversation)
                yield speaker.question.key, speaker.answer(self._file, self._chat.ends, self._limits)
            if speaking and not (waiting and free):
                _step(context, speaking)

    def _expected(self, question: TextQuestion) -> list[int]:
        return [*self._chat.answer(question.messages, question.expected, question.key), self._chat.end_of_turn]

    def _unfit(self, question: Question | ChoiceQuestion | TextQuestion) -> Violation | None:
        try:
            prompt = len(self._chat.prompt(question.messages, question.key))
            match question:
                case Question():
                    answer = question.max_new_tokens
                case ChoiceQuestion():
                    answers = [self._chat.answer(question.messages, each, question.key) for each in question.choices]
                    answer = max(map(len, answers))
                case TextQuestion():
                    answer = len(self._expected(question))
        except InvalidData as refused:
            return Violation(question.key, refused.message)
        if prompt == 0:
            return Violation(question.key, "the chat template makes an empty prompt of it")
        if prompt + answer <= self._file.context_length:
            return None
        return Violation(
            question.key, f"takes {prompt} tokens and {answer} for the answer, of {self._file.context_length}"
        )

    def _identify(self, name: str) -> Identity:
        return Identity(
            model=f"{name} ({self._file.description})",
            digest=f"sha256:{self._file.sha256}",
            conditions={
                "runs_in": f"llama.cpp of llama-cpp-python {llama_cpp.__version__}",
                "device": "gpu" if llama_cpp.llama_supports_gpu_offload() else "cpu",
                "threads": self._threads,
                "weights": self._file.description,
                "key_value_cache": "f16",
                "template": f"sha256:{self._chat.template_digest}",
                "stop_tokens": sorted(self._chat.ends),
                "context": self._file.context_length,
                "tokens_counted_by": "the file's tokenizer",
                "answers_at_once": f"up to {_TOGETHER}",
            },
        )


def _warm_up(context: GgufContext, token: int) -> None:
    """What happens once, such as reading the file, belongs to no answer."""
    context.read([(0, 0, token, True)], lambda _, logits: float(logits[0]))
    context.forget(0)


def _read_prompt(context: GgufContext, speaker: Speaker, prompt: Sequence[int]) -> None:
    started = time.monotonic()
    last = len(prompt) - 1
    entries = [(speaker.conversation, place, token, place == last) for place, token in enumerate(prompt)]
    context.read(entries, lambda _, logits: speaker.say(logits))
    speaker.seconds = speaker.first_token_seconds = time.monotonic() - started


def _step(context: GgufContext, speaking: Sequence[Speaker]) -> None:
    started = time.monotonic()

    def say(index: int, logits: Logits) -> None:
        speaking[index].say(logits)

    context.read([speaker.entry for speaker in speaking], say)
    share = (time.monotonic() - started) / len(speaking)
    for speaker in speaking:
        speaker.seconds += share
