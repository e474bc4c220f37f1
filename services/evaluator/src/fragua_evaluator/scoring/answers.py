"""Keeps what was answered, batch by batch, so that a later attempt goes on and asks nothing twice."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, ValidationError

from fragua_evaluator.domain.evaluation_spec import Arm
from fragua_evaluator.scoring.model import Answer
from fragua_platform.errors import Corrupted, InvalidInput

_ANSWERS_FILE = "answers.jsonl"
_FINGERPRINT_FILE = "fingerprint.json"


class AnsweredBatch(BaseModel, frozen=True):
    arm: Arm
    batch: int
    seconds: float
    peak_rss_bytes: int | None
    answers: dict[str, Answer]
    """By item id."""


class AnswerBook:
    """All answers so far. `fingerprint` is what must be equal for a later attempt to go on from them."""

    def __init__(self, fingerprint: Mapping[str, str]) -> None:
        self._fingerprint = dict(fingerprint)
        self._batches: dict[tuple[Arm, int], AnsweredBatch] = {}

    def add(self, batch: AnsweredBatch) -> None:
        self._batches[batch.arm, batch.batch] = batch

    def has(self, arm: Arm, batch: int) -> bool:
        return (arm, batch) in self._batches

    def batches(self, arm: Arm) -> Iterator[AnsweredBatch]:
        return (batch for batch in self._batches.values() if batch.arm is arm)

    def answer(self, arm: Arm, batch: int, item_id: str) -> Answer:
        return self._batches[arm, batch].answers[item_id]

    def answers(self, arm: Arm) -> dict[str, Answer]:
        return {item_id: answer for batch in self.batches(arm) for item_id, answer in batch.answers.items()}

    @property
    def answer_count(self) -> int:
        """Of both arms."""
        return sum(len(batch.answers) for batch in self._batches.values())

    def save(self, checkpoints: Path) -> Path:
        """Write a complete checkpoint under its final name, or nothing under that name."""
        final = checkpoints / f"answers-{self.answer_count}"
        unfinished = checkpoints / f".unfinished-{self.answer_count}"
        for leftover in (unfinished, final):  # of an earlier run by hand in this folder
            shutil.rmtree(leftover, ignore_errors=True)
        unfinished.mkdir()
        (unfinished / _FINGERPRINT_FILE).write_text(json.dumps(self._fingerprint, indent=2), "utf-8")
        with (unfinished / _ANSWERS_FILE).open("w", encoding="utf-8") as lines:
            lines.writelines(batch.model_dump_json() + "\n" for batch in self._batches.values())
            lines.flush()
            # A rename may outlive a power cut that the bytes behind it do not.
            os.fsync(lines.fileno())
        return unfinished.rename(final)

    def restore(self, checkpoint: Path) -> None:
        try:
            saved = json.loads((checkpoint / _FINGERPRINT_FILE).read_text("utf-8"))
            lines = (checkpoint / _ANSWERS_FILE).read_text("utf-8").splitlines()
            batches = [AnsweredBatch.model_validate_json(line) for line in lines]
        except (OSError, ValueError, ValidationError) as damaged:
            raise Corrupted(f"inputs/checkpoint is not a whole checkpoint: {damaged}") from damaged
        differing = sorted(
            name for name in saved.keys() | self._fingerprint.keys() if saved.get(name) != self._fingerprint.get(name)
        )
        if differing:
            raise InvalidInput(
                f"inputs/checkpoint was saved by another evaluation: {', '.join(differing)} differ; "
                "remove it to start over, or run with what it was saved with"
            )
        for batch in batches:
            self.add(batch)
