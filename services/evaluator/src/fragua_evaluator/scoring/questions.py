"""Makes of every item what an arm is asked: its own prompting, and one question for each repeat."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fragua_evaluator.domain.arm import ArmSpec, Message, Prompting, Role
from fragua_evaluator.domain.evaluation_spec import EvaluationSpec
from fragua_evaluator.domain.suite import SuiteKind
from fragua_evaluator.scoring.item import Item
from fragua_evaluator.scoring.items import Questionnaire
from fragua_evaluator.scoring.targets.port import ChoiceQuestion, Question, TextQuestion

AnyQuestion = Question | ChoiceQuestion | TextQuestion


@dataclass(frozen=True)
class Asked:
    """One question with what else decides its answer, besides the model and the prompt."""

    question: AnyQuestion
    decoding: dict[str, Any]


def key_of(item: Item, repeat: int) -> str:
    return f"{item.suite}/{item.id}/{repeat}"


def questions_of(arm: ArmSpec, questionnaire: Questionnaire, spec: EvaluationSpec) -> Iterator[Asked]:
    suite = questionnaire.suite
    max_new_tokens = suite.max_new_tokens or spec.decoding.max_new_tokens
    for item in questionnaire.items:
        messages = prompted(item.messages, arm.prompting)
        if suite.kind is SuiteKind.MULTIPLE_CHOICE:
            choices = item.choices or ()
            weighed = {"choices": hashlib.sha256(json.dumps(choices).encode()).hexdigest()}
            yield Asked(ChoiceQuestion(key_of(item, 0), messages, choices), weighed)
        elif suite.kind is SuiteKind.PERPLEXITY:
            expected = {"expected": hashlib.sha256(item.expected.encode()).hexdigest()}
            yield Asked(TextQuestion(key_of(item, 0), messages, item.expected), expected)
        else:
            for repeat in range(spec.repeats):
                seed = spec.decoding.seed + repeat
                question = Question(
                    key=key_of(item, repeat),
                    suite=suite.name,
                    item=item.id,
                    repeat=repeat,
                    messages=messages,
                    max_new_tokens=max_new_tokens,
                    seed=seed,
                )
                generated = spec.decoding.model_dump() | {
                    "max_new_tokens": max_new_tokens,
                    "seed": seed,
                    "repeat": repeat,
                    "max_output_bytes": spec.limits.max_output_bytes,
                }
                yield Asked(question, generated)


def prompted(messages: tuple[Message, ...], prompting: Prompting) -> tuple[Message, ...]:
    """The question as the arm is asked it: its own system message and demonstrations in front."""
    own_system = messages[:1] if messages[0].role is Role.SYSTEM else ()
    rest = messages[len(own_system) :]
    system = (Message(role=Role.SYSTEM, content=prompting.system),) if prompting.system else own_system
    return (*system, *prompting.demonstrations, *rest)
