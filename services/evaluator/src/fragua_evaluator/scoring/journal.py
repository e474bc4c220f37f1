"""Keeps what was answered, so that a later attempt goes on and asks nothing twice."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from fragua_evaluator.domain.report import Answer, Ending
from fragua_evaluator.scoring.targets.port import Identity
from fragua_platform.errors import Corrupted, InvalidInput

_ANSWERS_FILE = "answers.jsonl"
_STATE_FILE = "state.json"


class _Line(BaseModel, frozen=True):
    arm: str
    key: str
    answer: Answer


@dataclass
class ArmState:
    """What an arm's answers have cost so far, in all attempts."""

    identity: Identity
    seconds: float = 0.0
    peak_rss_bytes: int | None = None


class Journal:
    """All answers so far. `fingerprint` is what must be equal for a later attempt to go on from them."""

    def __init__(self, fingerprint: Mapping[str, str]) -> None:
        self._fingerprint = dict(fingerprint)
        self._answers: dict[tuple[str, str], Answer] = {}
        self.arms: dict[str, ArmState] = {}

    def add(self, arm: str, key: str, answer: Answer) -> None:
        self._answers[arm, key] = answer

    def answer(self, arm: str, key: str) -> Answer | None:
        return self._answers.get((arm, key))

    def answers(self, arm: str) -> Iterator[Answer]:
        return (answer for (whose, _), answer in self._answers.items() if whose == arm)

    def forget_failures(self, arm: str) -> None:
        """What failed is asked again by the next attempt."""
        for place in [place for place, answer in self._answers.items() if place[0] == arm]:
            if self._answers[place].ending is Ending.FAILED:
                del self._answers[place]

    @property
    def answer_count(self) -> int:
        return len(self._answers)

    def know(self, arm: str, identity: Identity) -> ArmState:
        """Open an arm's page, or go on with it; refuses a model that is not the one that answered before."""
        state = self.arms.setdefault(arm, ArmState(identity))
        if state.identity.digest != identity.digest:
            raise InvalidInput(
                f"arm {arm} is another model than the one that gave the answers so far; order a new evaluation",
                reason="MODEL_CHANGED",
            )
        return state

    def save(self, checkpoints: Path) -> Path:
        """Write a complete checkpoint under its final name, or nothing under that name."""
        final = checkpoints / f"answers-{self.answer_count}"
        unfinished = checkpoints / f".unfinished-{self.answer_count}"
        for leftover in (unfinished, final):  # of an earlier run by hand in this folder
            shutil.rmtree(leftover, ignore_errors=True)
        unfinished.mkdir()
        state = {"fingerprint": self._fingerprint, "arms": {name: asdict(arm) for name, arm in self.arms.items()}}
        (unfinished / _STATE_FILE).write_text(json.dumps(state, indent=1), "utf-8")
        with (unfinished / _ANSWERS_FILE).open("w", encoding="utf-8") as lines:
            for (arm, key), answer in self._answers.items():
                lines.write(_Line(arm=arm, key=key, answer=answer).model_dump_json() + "\n")
            lines.flush()
            # A rename may outlive a power cut that the bytes behind it do not.
            os.fsync(lines.fileno())
        return unfinished.rename(final)

    def restore(self, checkpoint: Path) -> None:
        try:
            state = json.loads((checkpoint / _STATE_FILE).read_text("utf-8"))
            with (checkpoint / _ANSWERS_FILE).open(encoding="utf-8") as lines:
                answered = [_Line.model_validate_json(line) for line in lines]
            arms = {name: _arm_state(fields) for name, fields in state["arms"].items()}
            saved = state["fingerprint"]
        except (OSError, ValueError, KeyError, TypeError, ValidationError) as damaged:
            raise Corrupted(f"inputs/checkpoint is not a whole checkpoint: {damaged}") from damaged
        self._refuse_another(saved)
        self.arms = arms
        for line in answered:
            self.add(line.arm, line.key, line.answer)

    def _refuse_another(self, saved: Mapping[str, str]) -> None:
        differing = sorted(
            name for name in saved.keys() | self._fingerprint.keys() if saved.get(name) != self._fingerprint.get(name)
        )
        if differing:
            raise InvalidInput(
                f"inputs/checkpoint was saved by another evaluation: {', '.join(differing)} differ; "
                "remove it to start over, or run with what it was saved with"
            )


def _arm_state(fields: Mapping[str, Any]) -> ArmState:
    return ArmState(**{**fields, "identity": Identity(**fields["identity"])})
