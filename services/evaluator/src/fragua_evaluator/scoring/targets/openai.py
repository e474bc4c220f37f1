"""A model behind an endpoint that speaks OpenAI's chat completions."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Never

from fragua_evaluator.domain.arm import Decoding, EndpointModel, Limits
from fragua_evaluator.domain.report import Answer
from fragua_evaluator.scoring.targets.chat_stream import ChatReading
from fragua_evaluator.scoring.targets.port import ChoiceQuestion, Identity, Question, StopRequested, TextQuestion
from fragua_evaluator.scoring.targets.prompt_sizes import PromptSizes
from fragua_evaluator.scoring.targets.remote import RemoteAsking
from fragua_evaluator.scoring.targets.web import TryAgain, Unanswered, WebService, key_from
from fragua_platform.errors import InvalidInput

_TOGETHER: Final = 4
"""Requests at once. Such servers batch what comes together, and answer four in little more time than one; more would
meet the rate limits of hosted ones, and stretch the time to the first token that is measured."""
_MAX_NAMES: Final = 10


class EndpointTarget:
    """The endpoint applies its own chat template to the messages, and nobody outside can see what it makes of them."""

    def __init__(self, model: EndpointModel, decoding: Decoding, limits: Limits) -> None:
        self._model = model
        self._decoding = decoding
        self._limits = limits
        self._service = WebService(model.url, key_from(model.key_variable))
        self._name = f"{model.model} at {self._service.url}"
        self._asking = RemoteAsking(self._name, self._service.url, limits, _TOGETHER)
        self._sizes = PromptSizes(self._name)
        self._length_field = "max_tokens"
        self.identity = self._identify(self._described())

    def refuse_unfit(self, questions: Sequence[Question | ChoiceQuestion | TextQuestion]) -> None:
        """The tokenizer is hidden, so what does not fit is told by the answers."""
        refuse_weighing(self._name, questions)

    def prompt_digest(self, question: Question | ChoiceQuestion | TextQuestion) -> str | None:
        return None

    def warm_up(self, questions: Sequence[Question | ChoiceQuestion | TextQuestion]) -> None:
        """Nothing is loaded here."""

    def generate(self, questions: Sequence[Question], stop_requested: StopRequested) -> Iterator[tuple[str, Answer]]:
        by_key = {question.key: question for question in questions}
        for key, answer in self._asking.answers(questions, self._ask, stop_requested):
            if answer.prompt_tokens is not None:
                self._sizes.add(by_key[key], answer.prompt_tokens)
            yield key, answer
        self._sizes.refuse_cut()

    def weigh_choices(
        self, questions: Sequence[ChoiceQuestion], stop_requested: StopRequested
    ) -> Iterator[tuple[str, Answer]]:
        return refuse_weighing(self._name, questions)

    def weigh_texts(
        self, questions: Sequence[TextQuestion], stop_requested: StopRequested
    ) -> Iterator[tuple[str, Answer]]:
        return refuse_weighing(self._name, questions)

    def close(self) -> None:
        self._service.close()

    def _ask(self, question: Question, ends: float) -> Answer:
        reading = ChatReading(self._limits.max_output_bytes)
        started, begun = time.monotonic(), self._asking.clock.begin()
        try:
            self._service.ask("/chat/completions", self._request(question), ends, lambda r: reading.read(r, ends))
        except Unanswered as refused:
            self._ask_otherwise(refused)
            raise
        finally:
            seconds = self._asking.clock.end(begun)
        first = None if reading.first_token is None else reading.first_token - started
        return reading.answer(question.max_new_tokens, seconds, first)

    def _request(self, question: Question) -> dict[str, Any]:
        return {
            "model": self._model.model,
            "messages": [{"role": message.role.value, "content": message.content} for message in question.messages],
            self._length_field: question.max_new_tokens,
            "temperature": self._decoding.temperature,
            "top_p": self._decoding.top_p,
            "seed": question.seed,
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    def _ask_otherwise(self, refused: Unanswered) -> None:
        """OpenAI gave the field another name, most other servers know only the old one."""
        if self._length_field == "max_tokens" and "max_completion_tokens" in refused.said:
            self._length_field = "max_completion_tokens"
        if self._length_field in refused.said:
            raise TryAgain(refused.reason, str(refused)) from refused

    def _described(self) -> Mapping[str, Any]:
        """What the endpoint's list of models says of ours, as far as there is one."""
        listed = self._service.look_up("/models")
        models = listed.get("data") if isinstance(listed, Mapping) else None
        if not isinstance(models, list):
            return {}
        found = {str(each.get("id")): each for each in models if isinstance(each, Mapping)}
        if found and self._model.model not in found:
            known = ", ".join(sorted(found)[:_MAX_NAMES]) + (" …" if len(found) > _MAX_NAMES else "")
            raise InvalidInput(
                f"{self._service.url} has no model {self._model.model!r}; it has {known}", reason="MODEL_NOT_FOUND"
            )
        return found.get(self._model.model, {})

    def _identify(self, described: Mapping[str, Any]) -> Identity:
        named = json.dumps([self._service.url, self._model.model])
        return Identity(
            model=self._name,
            digest=hashlib.sha256(named.encode()).hexdigest(),
            conditions={
                "generation": f"OpenAI's chat completions, {_TOGETHER} requests at a time",
                "context_length": described.get("max_model_len"),
                "tokens_counted_by": "the endpoint",
                "seed": "sent; whether it is heeded is up to the endpoint",
                "not_verifiable": [
                    "the weights behind the name, and whether they stay the same",
                    "the chat template, and what the endpoint adds to the messages",
                    "a cut that shortens every prompt alike; other cuts are noticed where it counts tokens",
                ],
            },
            # The weights behind a name may be exchanged at any time.
            cacheable=False,
            remote=True,
        )


def refuse_weighing(name: str, questions: Sequence[Question | ChoiceQuestion | TextQuestion]) -> Iterator[Never]:
    weighed = [question.key for question in questions if not isinstance(question, Question)]
    if weighed:
        raise InvalidInput(
            f"{name} cannot weigh given texts, as {len(weighed)} questions ask it to, such as {weighed[0]}: its chat "
            "interface tells no probabilities of what it did not say itself. Put multiple choice and perplexity to the "
            "model's directory or GGUF file, or leave these suites out",
            reason="UNSUPPORTED_BY_TARGET",
        )
    return iter(())
