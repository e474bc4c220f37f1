"""Questions for arms that answer elsewhere, and how the tests put them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fragua_evaluator.domain.arm import Decoding, EndpointModel, Limits, Message, OllamaModel, Role
from fragua_evaluator.domain.report import Answer
from fragua_evaluator.scoring.targets.ollama import OllamaTarget
from fragua_evaluator.scoring.targets.openai import EndpointTarget
from fragua_evaluator.scoring.targets.port import Question, StopRequested, Target
from tests.servers.chat import ChatServer


def question(text: str = "¿Cuál es la capital de España?", *, number: int = 0, tokens: int = 256) -> Question:
    messages = (Message(role=Role.SYSTEM, content="Eres un señor."), Message(role=Role.USER, content=text))
    return Question(f"s/{number}/0", "s", str(number), 0, messages, tokens, seed=7)


def questions(count: int, text: str = "¿Qué número sigue?") -> list[Question]:
    return [question(f"{text} {number}", number=number) for number in range(count)]


def endpoint(
    server: ChatServer, decoding: Decoding | None = None, key: str | None = None, **limits: Any
) -> EndpointTarget:
    model = EndpointModel(url=server.url, model=server.model, key_variable=key)
    return EndpointTarget(model, decoding or Decoding(), Limits(**limits))


def ollama(server: ChatServer, decoding: Decoding | None = None, **limits: Any) -> OllamaTarget:
    return OllamaTarget(OllamaModel(url=server.origin, model=server.model), decoding or Decoding(), Limits(**limits))


def never() -> bool:
    return False


def ask(target: Target, asked: Sequence[Question], stop_requested: StopRequested = never) -> dict[str, Answer]:
    try:
        return dict(target.generate(asked, stop_requested))
    finally:
        target.close()


def ask_one(target: Target, asked: Question | None = None) -> Answer:
    [answer] = ask(target, [asked or question()]).values()
    return answer
