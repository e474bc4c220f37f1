"""Reads an answer of OpenAI's chat completions: a stream of server-sent events, or one document from servers without."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from fragua_evaluator.domain.report import Answer, Ending
from fragua_evaluator.scoring.targets.said import Said
from fragua_evaluator.scoring.targets.web import TryAgain, Unanswered, body_of, count_in, lines_of, object_in

_ENDINGS: Final = {
    **dict.fromkeys(("stop", "eos", "eos_token", "stop_sequence", "end_turn"), Ending.STOP),
    **dict.fromkeys(("length", "max_tokens"), Ending.LENGTH),
}
_BYTES_AROUND: Final = 64 * 1024
"""What a service may send around the text itself."""
_ESCAPED: Final = 6
"""Bytes that JSON may take for one of the text."""


@dataclass
class ChatReading:
    """What is known of one answer so far."""

    max_output_bytes: int
    said: Said = field(init=False)
    finish_reason: str | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)
    first_token: float | None = None
    """When it came, by the monotonic clock."""

    def __post_init__(self) -> None:
        self.said = Said(self.max_output_bytes)

    def read(self, response: httpx.Response, ends: float) -> None:
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind == "text/event-stream":
            self._read_events(response, ends)
        elif kind == "application/json":
            most = self.max_output_bytes * _ESCAPED + _BYTES_AROUND
            self._take(object_in(body_of(response, ends, most)), "message")
        else:
            raise Unanswered("GARBAGE", "answers with something that is neither an event stream nor JSON")
        if self.finish_reason is None:
            raise TryAgain("UNAVAILABLE", "broke off in the middle of an answer")

    def _read_events(self, response: httpx.Response, ends: float) -> None:
        for line in lines_of(response, ends, self.max_output_bytes * _ESCAPED + _BYTES_AROUND):
            if not line.startswith("data:"):
                if line and not line.startswith((":", "event:", "id:", "retry:")):
                    raise Unanswered("GARBAGE", "sends lines that are no server-sent events")
                continue
            data = line.removeprefix("data:").strip()
            if data == "[DONE]":
                return
            self._take(object_in(data), "delta")

    def _take(self, document: Mapping[str, Any], part: str) -> None:
        if document.get("error"):
            raise TryAgain("UNAVAILABLE", "reports an error in the middle of an answer")
        usage = document.get("usage")
        if isinstance(usage, Mapping):
            self.usage = usage
        choices = document.get("choices")
        if not isinstance(choices, list):
            raise Unanswered("GARBAGE", "sends JSON that is no chat completion")
        for choice in choices[:1]:
            self._take_choice(choice, part)

    def _take_choice(self, choice: Any, part: str) -> None:
        spoken = choice.get(part) if isinstance(choice, Mapping) else None
        if not isinstance(spoken, Mapping):
            # Some services leave it out of the event that ends the answer.
            spoken = {}
        content = spoken.get("content")
        if content is not None and not isinstance(content, str):
            raise Unanswered("GARBAGE", "sends content that is no text")
        if part == "delta" and self.first_token is None and (content or spoken.get("reasoning_content")):
            self.first_token = time.monotonic()
        self.said.add(content or "")
        reason = choice.get("finish_reason") if isinstance(choice, Mapping) else None
        if reason is not None:
            self.finish_reason = str(reason)

    def answer(self, max_new_tokens: int, seconds: float, first_token_seconds: float | None) -> Answer:
        ending = _ENDINGS.get(self.finish_reason or "")
        tokens = count_in(self.usage.get("completion_tokens"))
        if self.finish_reason == "content_filter":
            raise Unanswered("FILTERED", "withheld the answer (finish_reason content_filter)")
        if ending is None:
            raise Unanswered("GARBAGE", "ended the answer for a reason that nobody knows here")
        if ending is Ending.LENGTH and tokens is not None and tokens < max_new_tokens:
            raise Unanswered(
                "CUT_EARLY", f"cut the answer after {tokens} tokens, before max_new_tokens = {max_new_tokens}"
            )
        return Answer(
            text=self.said.text,
            ending=ending,
            tokens=tokens or 0,
            prompt_tokens=count_in(self.usage.get("prompt_tokens")),
            seconds=seconds,
            first_token_seconds=first_token_seconds,
        )
