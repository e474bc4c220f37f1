"""What came of every request so far, a line each: appended as it comes, so that nothing is ever asked twice."""

from __future__ import annotations

import os
import shutil
import time
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from fragua_platform.jobs.engine import JobDirectory, Reporter

_FILE: Final = "requests.jsonl"
_SECONDS_BETWEEN_CHECKPOINTS: Final = 1.0
_SHARE_OF_TIME: Final = 0.05
"""A checkpoint is a copy of the whole, so the longer one takes the rarer they are."""


class Outcome(StrEnum):
    KEPT = "kept"
    UNANSWERED = "unanswered"
    """`why`: what came back was no answer."""
    UNPARSABLE = "unparsable"
    """`why`: the answer was no row."""
    UNSCORED = "unscored"
    """`why`: the metric failed on the row."""
    BELOW_SCORE = "below score"
    LEFT_OUT = "left out"
    """`why`: the first thing that the profile has against the row."""
    REPEATED = "repeated"


class Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    """Of the request."""
    outcome: Outcome
    why: str = ""
    score: float | None = None
    tokens: int | None = None
    seconds: float
    row: dict[str, Any] | None = None
    """Where it was kept."""
    row_id: str = ""
    """Of the same row: equal for equal messages."""


class Journal:
    def __init__(self, job: JobDirectory, reporter: Reporter) -> None:
        self._job = job
        self._reporter = reporter
        self._path = job.root / _FILE
        # What lies here is as new as any checkpoint of it, and the only one there is when the engine is run by hand.
        if not self._path.exists() and job.resume_from:
            shutil.copyfile(job.resume_from / _FILE, self._path)
        self.entries = _read(self._path)
        self._saved = len(self.entries)
        self._next_checkpoint = 0.0
        self._file = self._path.open("ab")

    def add(self, entry: Entry) -> None:
        """It is on disk when this returns."""
        self._file.write(entry.model_dump_json(exclude_defaults=True).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.entries.append(entry)
        if time.monotonic() >= self._next_checkpoint:
            self.save()

    def save(self) -> None:
        """A checkpoint for the next attempt, if there is anything new."""
        if self._saved == len(self.entries):
            return
        began = time.monotonic()
        step = len(self.entries)
        complete = self._job.checkpoints / f"step-{step}"
        partial = self._job.checkpoints / f".step-{step}"
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(complete, ignore_errors=True)
        partial.mkdir()
        shutil.copyfile(self._path, partial / _FILE)
        partial.rename(complete)
        self._reporter.checkpoint(step, complete, self._job.root)
        self._saved = step
        took = time.monotonic() - began
        self._next_checkpoint = time.monotonic() + max(_SECONDS_BETWEEN_CHECKPOINTS, took / _SHARE_OF_TIME)

    def close(self) -> None:
        self._file.close()


def _read(path: Path) -> list[Entry]:
    """Without the last line, where whoever wrote it was killed in the middle of it; that is cut off."""
    if not path.exists():
        return []
    whole = path.read_bytes()
    complete = whole[: whole.rfind(b"\n") + 1]
    if len(complete) < len(whole):
        os.truncate(path, len(complete))
    return [Entry.model_validate_json(line) for line in complete.splitlines()]
