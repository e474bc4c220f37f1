"""A GGUF file that answers in llama.cpp, several questions side by side."""

from __future__ import annotations

import hashlib
import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import llama_cpp

from fragua_evaluator.domain.arm import Decoding, GgufModel, Limits
from fragua_evaluator.domain.report import Answer, Ending
from fragua_evaluator.scoring.targets.gguf_chat import TEMPLATE_DATE, Continuation, GgufChat
from fragua_evaluator.scoring.targets.gguf_context import GgufContext, Logits, StopReading, affordable, open_context
from fragua_evaluator.scoring.targets.gguf_model import GgufFile
from fragua_evaluator.scoring.targets.gguf_speaker import Speaker
from fragua_evaluator.scoring.targets.gguf_weighing import MOST_TOGETHER, cells_of, weigh
from fragua_evaluator.scoring.targets.port import ChoiceQuestion, Identity, Question, StopRequested, TextQuestion
from fragua_evaluator.scoring.targets.remote import failed
from fragua_evaluator.scoring.targets.room import lack_of_room
from fragua_platform.errors import InvalidData, Violation
from fragua_platform.jobs.engine import prepare_libraries

_TOGETHER: Final = 8
"""Answers at once: a step costs little more for eight than for one, because it waits for the weights."""
_WARM_UP_TOKENS: Final = 16
_MAX_VIOLATIONS: Final = 20

AnyQuestion = Question | ChoiceQuestion | TextQuestion


class GgufTarget:
    def __init__(self, model: GgufModel, inputs: Path, decoding: Decoding, limits: Limits) -> None:
        self._decoding = decoding
        self._limits = limits
        self._threads = prepare_libraries()
        self._file = GgufFile(inputs / model.file)
        try:
            self._chat = GgufChat(self._file)
            self.identity = self._identify(model.file)
        except BaseException:
            self._file.close()
            raise

    def refuse_unfit(self, questions: Sequence[AnyQuestion]) -> None:
        refused, too_long = list[Violation](), list[Violation]()
        for question in questions:
            try:
                problem = self._lack_of_room(question)
            except InvalidData as objection:
                refused.append(Violation(question.key, objection.message))
                continue
            if problem:
                too_long.append(Violation(question.key, problem))
        if problems := [*refused, *too_long]:
            raise InvalidData(
                f"{len(problems)} questions cannot be put to {self._file.name}; first: {problems[0].field}: "
                f"{problems[0].description}; shorten or remove them, or lower max_new_tokens",
                reason="UNSUPPORTED_CHAT_TEMPLATE" if refused else "PROMPT_TOO_LONG",
                violations=problems[:_MAX_VIOLATIONS],
            )

    def prompt_digest(self, question: AnyQuestion) -> str | None:
        texts = "\n".join(" ".join(map(str, tokens)) for tokens in self._texts(question))
        return hashlib.sha256(texts.encode()).hexdigest()

    def warm_up(self, questions: Sequence[AnyQuestion]) -> None:
        """What happens once, such as reading the weights, belongs to no answer."""
        for question in questions:
            tokens = self._chat.prompt(question.messages)[:_WARM_UP_TOKENS]
            with open_context(
                self._file,
                conversations=1,
                length=len(tokens),
                threads=self._threads,
                stop_requested=lambda: False,
            ) as context:
                context.read([(0, place, token, True) for place, token in enumerate(tokens)], lambda _, __: None)

    def generate(self, questions: Sequence[Question], stop_requested: StopRequested) -> Iterator[tuple[str, Answer]]:
        if not questions:
            return
        prompts = {question.key: self._chat.prompt(question.messages) for question in questions}
        length = max(len(prompts[question.key]) + question.max_new_tokens for question in questions)
        together = affordable(self._file, length, min(_TOGETHER, len(questions)))
        with open_context(
            self._file,
            conversations=together,
            length=length,
            threads=self._threads,
            stop_requested=stop_requested,
        ) as context:
            try:
                yield from self._speak(context, together, deque(questions), prompts)
            except StopReading:
                return

    def weigh_choices(
        self, questions: Sequence[ChoiceQuestion], stop_requested: StopRequested
    ) -> Iterator[tuple[str, Answer]]:
        for question, _, sums, seconds in self._weigh(questions, stop_requested):
            yield question.key, self._weighed(question, sums, seconds, choice_log_likelihoods=tuple(sums))

    def weigh_texts(
        self, questions: Sequence[TextQuestion], stop_requested: StopRequested
    ) -> Iterator[tuple[str, Answer]]:
        for question, [text], sums, seconds in self._weigh(questions, stop_requested):
            tokens = len(text.tokens) - text.start
            yield question.key, self._weighed(question, sums, seconds, log_likelihood=sums[0], tokens=tokens)

    def close(self) -> None:
        self._file.close()

    def _speak(
        self, context: GgufContext, together: int, waiting: deque[Question], prompts: dict[str, tuple[int, ...]]
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

    def _weigh(
        self, questions: Sequence[ChoiceQuestion | TextQuestion], stop_requested: StopRequested
    ) -> Iterator[tuple[ChoiceQuestion | TextQuestion, list[Continuation], list[float], float]]:
        texts = [self._weighable(question) for question in questions]
        if not texts:
            return
        with open_context(
            self._file,
            conversations=min(max(map(len, texts)), MOST_TOGETHER) + 1,
            length=max(map(cells_of, texts)),
            threads=self._threads,
            stop_requested=stop_requested,
            shared=True,
            exact=True,
        ) as context:
            try:
                for question, each in zip(questions, texts, strict=True):
                    yield question, each, *weigh(context, each)
            except StopReading:
                return

    def _weighed(
        self, question: ChoiceQuestion | TextQuestion, sums: Sequence[float], seconds: float, **told: Any
    ) -> Answer:
        if not all(map(math.isfinite, sums)):
            return failed("NOT_A_NUMBER", f"{self._file.name} computes logits that are no numbers")
        prompt = len(self._chat.prompt(question.messages))
        return Answer(ending=Ending.STOP, prompt_tokens=prompt, seconds=seconds, **told)

    def _weighable(self, question: ChoiceQuestion | TextQuestion) -> list[Continuation]:
        if isinstance(question, ChoiceQuestion):
            return self._chat.choices(question.messages, question.choices)
        return [self._chat.answer(question.messages, question.expected)]

    def _texts(self, question: AnyQuestion) -> list[tuple[int, ...]]:
        if isinstance(question, Question):
            return [self._chat.prompt(question.messages)]
        return [text.tokens for text in self._weighable(question)]

    def _lack_of_room(self, question: AnyQuestion) -> str:
        lengths = [len(tokens) for tokens in self._texts(question)]
        if min(lengths) == 0:
            return "the chat template makes an empty prompt of it"
        answer = question.max_new_tokens if isinstance(question, Question) else 0
        return lack_of_room(max(lengths), answer, self._file.context_length)

    def _identify(self, name: str) -> Identity:
        conditions = {
            "device": "gpu" if llama_cpp.llama_supports_gpu_offload() else "cpu",
            "file": f"sha256:{self._file.sha256}",
            "weights_type": self._file.weights_type,
            "template_digest": self._chat.template_digest,
            "stop_tokens": [self._file.name_of(token) for token in sorted(self._chat.ends)],
            "context_length": self._file.context_length,
            "tokens_counted_by": "this process",
            "generation": f"llama.cpp of llama-cpp-python {llama_cpp.__version__}, up to {_TOGETHER} answers at a time",
            "key_value_cache": "f16 to generate, f32 to weigh",
        }
        if self._chat.prints_a_date:
            conditions["template_date"] = TEMPLATE_DATE
        model = f"{name} ({self._file.architecture} {self._file.weights_type})"
        runs = hashlib.sha256(f"{self._file.sha256} llama-cpp-python {llama_cpp.__version__}".encode())
        return Identity(model=model, digest=runs.hexdigest(), conditions=conditions)


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
