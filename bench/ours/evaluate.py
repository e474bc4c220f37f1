"""Answers or weighs the questions as an evaluation does: `evaluate.py generate|choose DIRECTORY RESULTS`.

Writes what came out to RESULTS; prints the rate per CPU-second, in new tokens or in questions, without loading.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from fragua_evaluator.domain.arm import Decoding, LocalModel, Message, Role
from fragua_evaluator.scoring.targets.local.loaded import LoadedModels
from fragua_evaluator.scoring.targets.local.target import LocalTarget, open_local_model
from fragua_evaluator.scoring.targets.port import ChoiceQuestion, Question

task, folder, results = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
questions: list[dict[str, Any]] = json.loads((folder / "questions.json").read_text("utf-8"))


def asked(text: str) -> tuple[Message, ...]:
    return (Message(role=Role.USER, content=text),)


def generate(target: LocalTarget) -> dict[str, Any]:
    asked_now = [
        Question(str(place), "bench", str(place), 0, asked(row["question"]), row["new_tokens"], 0)
        for place, row in enumerate(questions)
    ]
    return {key: answer.text.split() for key, answer in target.generate(asked_now, lambda: False)}


def choose(target: LocalTarget) -> dict[str, Any]:
    asked_now = [
        ChoiceQuestion(str(place), asked(row["question"]), tuple(row["choices"])) for place, row in enumerate(questions)
    ]
    return {key: answer.choice_log_likelihoods for key, answer in target.weigh_choices(asked_now, lambda: False)}


target = open_local_model(LocalModel(base="base"), folder, Decoding(), LoadedModels(threads=1))
warm_up = Question("", "bench", "", 0, asked("w1000"), 2, 0)
list(target.generate([warm_up], lambda: False))
started = time.process_time()
found = generate(target) if task == "generate" else choose(target)
seconds = time.process_time() - started
results.write_text(json.dumps(found), "utf-8")
print((sum(row["new_tokens"] for row in questions) if task == "generate" else len(questions)) / seconds)
