"""A model that an Ollama server has, asked so that nothing is cut and nothing of its Modelfile changes the sampling."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import httpx

from fragua_evaluator.domain.arm import Decoding, Limits, OllamaModel, Role
from fragua_evaluator.domain.report import Answer, Ending
from fragua_evaluator.scoring.targets.openai import refuse_weighing
from fragua_evaluator.scoring.targets.port import ChoiceQuestion, Identity, Question, StopRequested, TextQuestion
from fragua_evaluator.scoring.targets.prompt_sizes import PromptSizes
from fragua_evaluator.scoring.targets.remote import RemoteAsking
from fragua_evaluator.scoring.targets.said import Said
from fragua_evaluator.scoring.targets.web import TryAgain, Unanswered, WebService, count_in, lines_of, object_in
from fragua_platform.errors import InvalidData, InvalidInput, Unavailable, Violation

_TOGETHER: Final = 1
"""Ollama answers one after the other unless it is set up otherwise; a second request would only wait, and be measured."""
_SMALLEST_CONTEXT: Final = 2_048
_TEMPLATE_TOKENS: Final = 256
"""What a template says by itself, e.g. a default system message with a date."""
_TURN_TOKENS: Final = 16
_LONGEST_LINE: Final = 2 * 2**20
_NANO: Final = 1e-9
_MAX_VIOLATIONS: Final = 20
_MAX_NAMES: Final = 10
_NEUTRAL: Final = {"top_k": 0, "min_p": 0.0, "typical_p": 1.0, "mirostat": 0, "repeat_penalty": 1.0} | dict.fromkeys(
    ("presence_penalty", "frequency_penalty"), 0.0
)
"""In place of what a Modelfile or Ollama itself sets, such as the 40 likeliest tokens only."""


class OllamaTarget:
    def __init__(self, model: OllamaModel, decoding: Decoding, limits: Limits) -> None:
        self._model = model
        self._decoding = decoding
        self._limits = limits
        self._service = WebService(model.url)
        self._name = f"{model.model} of Ollama at {self._service.url}"
        self._full_name = model.model if ":" in model.model.rpartition("/")[2] else f"{model.model}:latest"
        self._asking = RemoteAsking(self._name, self._service.url, limits, _TOGETHER)
        self._sizes = PromptSizes(self._name)
        self._context = 0
        """What is asked for; another size makes Ollama load the model anew."""
        self._proven_context = 0
        version, digest, shown = self._look_up()
        self._system = bool(shown.get("system"))
        self._longest = _context_length(shown)
        self.identity = self._identify(version, digest, shown)

    def refuse_unfit(self, questions: Sequence[Question | ChoiceQuestion | TextQuestion]) -> None:
        refuse_weighing(self._name, questions)
        self._refuse_hidden_system(questions)
        if self._longest is None:
            return
        # Without the tokenizer nobody can tell more beforehand; the rest is told by the answers.
        long = [q for q in questions if isinstance(q, Question) and q.max_new_tokens >= self._longest]
        if long:
            raise InvalidData(
                f"{len(long)} questions ask for longer answers than {self._name} has context; lower max_new_tokens",
                reason="PROMPT_TOO_LONG",
                violations=[
                    Violation(q.key, f"max_new_tokens = {q.max_new_tokens}, the context is {self._longest} tokens")
                    for q in long[:_MAX_VIOLATIONS]
                ],
            )

    def prompt_digest(self, question: Question | ChoiceQuestion | TextQuestion) -> str | None:
        return None

    def warm_up(self, questions: Sequence[Question | ChoiceQuestion | TextQuestion]) -> None:
        """Nothing is loaded here."""

    def generate(self, questions: Sequence[Question], stop_requested: StopRequested) -> Iterator[tuple[str, Answer]]:
        if not questions:
            return
        self._refuse_hidden_system(questions)
        self._context = max(self._context, self._needed_context(questions))
        by_key = {question.key: question for question in questions}
        for key, answer in self._asking.answers(questions, self._ask, stop_requested):
            if answer.prompt_tokens is not None:
                self._refuse_smaller_context()
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

    # --- one question

    def _ask(self, question: Question, ends: float) -> Answer:
        reading = _Reading(self._limits.max_output_bytes)
        started, begun = time.monotonic(), self._asking.clock.begin()
        try:
            self._service.ask("/api/chat", self._request(question), ends, lambda r: reading.read(r, ends))
        except Unanswered as refused:
            self._refuse_too_long(question, refused.said)
            raise
        finally:
            seconds = self._asking.clock.end(begun)
        self._refuse_cut(question, reading.count("prompt_eval_count"))
        loading = (reading.count("load_duration") or 0) * _NANO
        first = None if reading.first_token is None else max(reading.first_token - started - loading, 0.0)
        return reading.answer(question.max_new_tokens, max(seconds - loading, 0.0), first)

    def _request(self, question: Question) -> dict[str, Any]:
        return {
            "model": self._model.model,
            "messages": [{"role": message.role.value, "content": message.content} for message in question.messages],
            "stream": True,
            # Ollama cuts what does not fit and says nothing; versions that know these two fields answer with an error.
            "truncate": False,
            "shift": False,
            "options": _NEUTRAL
            | {
                "num_ctx": self._context,
                "num_predict": question.max_new_tokens,
                "temperature": self._decoding.temperature,
                "top_p": self._decoding.top_p,
                "seed": question.seed,
            },
        }

    def _refuse_too_long(self, question: Question, said: str) -> None:
        if "context" in said and ("exceed" in said or "too long" in said):
            raise self._cut(question, f"Ollama says that it does not fit the context of {self._context} tokens")

    def _refuse_cut(self, question: Question, tokens: int | None) -> None:
        if tokens is not None and tokens + question.max_new_tokens > self._context:
            problem = (
                f"{tokens} tokens of it and an answer of {question.max_new_tokens} do not fit the context of "
                f"{self._context} tokens"
            )
            raise self._cut(question, problem)

    def _refuse_smaller_context(self) -> None:
        """Ask once what the model was really loaded with; older versions do not tell."""
        if self._proven_context == self._context:
            return
        self._proven_context = self._context
        try:
            loaded = self._service.look_up("/api/ps")
        except Unavailable:
            return
        models = loaded.get("models") if isinstance(loaded, Mapping) else None
        for model in models if isinstance(models, list) else []:
            if not isinstance(model, Mapping) or model.get("name") != self._full_name:
                continue
            context = count_in(model.get("context_length"))
            if context is not None and 0 < context < self._context:
                raise InvalidInput(
                    f"{self._name} was asked for a context of {self._context} tokens and took {context}; give Ollama more "
                    "memory, or shorten the questions",
                    reason="CONTEXT_TOO_SMALL",
                )

    def _cut(self, question: Question, problem: str) -> InvalidData:
        return InvalidData(
            f"{self._name} cuts a prompt, so its answer is an answer to another question; shorten the question, lower "
            "max_new_tokens, or take a model with a larger context",
            reason="PROMPT_TRUNCATED",
            violations=[Violation(question.key, problem)],
        )

    def _needed_context(self, questions: Sequence[Question]) -> int:
        """Enough for the longest, whatever its tokenizer: no token of a text is shorter than a byte."""
        need = max(
            sum(len(m.content.encode("utf-8", "replace")) + _TURN_TOKENS for m in q.messages) + q.max_new_tokens
            for q in questions
        )
        # In few sizes, because Ollama loads the model anew for each.
        context = max(_SMALLEST_CONTEXT, 1 << (need + _TEMPLATE_TOKENS - 1).bit_length())
        return context if self._longest is None else min(context, self._longest)

    # --- what is known beforehand

    def _look_up(self) -> tuple[str, str, Mapping[str, Any]]:
        version = self._service.look_up("/api/version")
        tags = self._service.look_up("/api/tags")
        models = tags.get("models") if isinstance(tags, Mapping) else None
        if not isinstance(version, Mapping) or not isinstance(models, list):
            raise InvalidInput(f"what answers at {self._service.url} is no Ollama server", reason="ENDPOINT_REFUSES")
        digests = {str(m.get("name")): str(m.get("digest")) for m in models if isinstance(m, Mapping)}
        name = self._full_name
        if name not in digests:
            known = ", ".join(sorted(digests)[:_MAX_NAMES]) or "none"
            raise InvalidInput(
                f"{self._service.url} has no model {name!r}; it has {known}. Publish or pull it first",
                reason="MODEL_NOT_FOUND",
            )
        shown = self._service.look_up("/api/show", {"model": self._model.model})
        if not isinstance(shown, Mapping):
            raise Unavailable(f"{self._name} cannot be shown", reason="ENDPOINT_UNAVAILABLE")
        if shown.get("messages"):
            raise InvalidInput(
                f"{self._name} says MESSAGEs of its Modelfile before every question, which no other arm would hear; "
                "create the model without them, and give them as `prompting.demonstrations`",
                reason="HIDDEN_PROMPT",
            )
        return str(version.get("version", "")), digests[name], shown

    def _refuse_hidden_system(self, questions: Sequence[Question | ChoiceQuestion | TextQuestion]) -> None:
        if not self._system:
            return
        bare = [question.key for question in questions if question.messages[0].role is not Role.SYSTEM]
        if bare:
            raise InvalidInput(
                f"{self._name} has a SYSTEM of its own, which it says before {len(bare)} questions that hold no system "
                "message and no other arm would hear; give the arm that text as `prompting.system`, or create the "
                "model without it",
                reason="HIDDEN_PROMPT",
                violations=[Violation(key, "has no system message") for key in bare[:_MAX_VIOLATIONS]],
            )

    def _identify(self, version: str, digest: str, shown: Mapping[str, Any]) -> Identity:
        details = shown.get("details")
        template = str(shown.get("template", ""))
        return Identity(
            model=self._name,
            digest=hashlib.sha256(f"{version} {digest}".encode()).hexdigest(),
            conditions={
                "generation": f"Ollama {version}, one request at a time",
                "manifest": digest,
                "weights_type": details.get("quantization_level") if isinstance(details, Mapping) else None,
                "ollama_template_digest": hashlib.sha256(template.encode()).hexdigest(),
                "stop_texts": _stops(shown),
                "context_length": self._longest,
                "context_asked_for": "as many tokens as the longest question and answer may have at most",
                "tokens_counted_by": "Ollama",
                "not_verifiable": ["what Ollama's template makes of the messages"],
            },
            remote=True,
        )


class _Reading:
    """One answer, a JSON object a line."""

    def __init__(self, max_output_bytes: int) -> None:
        self._said = Said(max_output_bytes)
        self._last: Mapping[str, Any] = {}
        self.first_token: float | None = None

    def read(self, response: httpx.Response, ends: float) -> None:
        for line in lines_of(response, ends, _LONGEST_LINE):
            if line.strip():
                self._take(object_in(line))
            if self._last:
                return
        raise TryAgain("UNAVAILABLE", "broke off in the middle of an answer")

    def _take(self, news: Mapping[str, Any]) -> None:
        if "error" in news:
            raise Unanswered("REFUSED", "reports an error instead of an answer", json.dumps(news["error"]))
        message = news.get("message")
        content = message.get("content", "") if isinstance(message, Mapping) else None
        if not isinstance(content, str):
            raise Unanswered("GARBAGE", "sends JSON that is no answer of a chat")
        if self.first_token is None and (content or (isinstance(message, Mapping) and message.get("thinking"))):
            self.first_token = time.monotonic()
        self._said.add(content)
        if news.get("done") is True:
            self._last = news

    def count(self, name: str) -> int | None:
        return count_in(self._last.get(name))

    def answer(self, max_new_tokens: int, seconds: float, first_token_seconds: float | None) -> Answer:
        reason, tokens = self._last.get("done_reason"), self.count("eval_count")
        if reason not in {"stop", "length"}:
            raise Unanswered("GARBAGE", "ended the answer for a reason that nobody knows here")
        if reason == "length" and tokens is not None and tokens < max_new_tokens:
            raise Unanswered(
                "CUT_EARLY", f"cut the answer after {tokens} tokens, before max_new_tokens = {max_new_tokens}"
            )
        return Answer(
            text=self._said.text,
            ending=Ending.STOP if reason == "stop" else Ending.LENGTH,
            tokens=tokens or 0,
            prompt_tokens=self.count("prompt_eval_count"),
            seconds=seconds,
            first_token_seconds=first_token_seconds,
        )


def _context_length(shown: Mapping[str, Any]) -> int | None:
    about = shown.get("model_info")
    if not isinstance(about, Mapping):
        return None
    return count_in(about.get(f"{about.get('general.architecture')}.context_length")) or None


def _stops(shown: Mapping[str, Any]) -> list[str]:
    """The lines `stop "<|im_end|>"` of what Ollama shows as parameters."""
    lines = str(shown.get("parameters", "")).splitlines()
    return [
        line.split(None, 1)[1].strip().strip('"') for line in lines if line.startswith("stop") and " " in line.strip()
    ]
