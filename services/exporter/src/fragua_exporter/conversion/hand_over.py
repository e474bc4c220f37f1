"""Hands what is finished over to the next attempt at the same export, on whatever machine that runs.

    checkpoints/milestone-3/steps.json     what is finished, by digest, with all that was measured on it
    checkpoints/milestone-3/files/         those of the files that are worth their way

A worker uploads each milestone and fetches the latest one into `inputs/checkpoint/` of the next attempt. What a milestone
does not carry is made again there, and is as proven as it was when its digest is the same.
"""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from fragua_exporter.conversion.steps import Effort, FinishedFile, Steps
from fragua_platform.errors import InvalidInput
from fragua_platform.jobs.engine import LIFELINE_VARIABLE, JobDirectory, Reporter

LIMIT_VARIABLE = "FRAGUA_ENGINE_CHECKPOINT_MIB"
DEFAULT_MIB = 2048
"""A milestone holds everything that is finished, so some files go up more than once: the limit bounds each time. Above
it lie the 16-bit files of models of more than a billion parameters, which take less time to write than to send."""

JOURNAL = "steps.json"
_FILES = "files"


def carried_bytes(environment: Mapping[str, str]) -> int | None:
    """How much a milestone may carry; None without a worker, who alone takes it further and away."""
    if LIFELINE_VARIABLE not in environment:
        return None
    text = environment.get(LIMIT_VARIABLE) or str(DEFAULT_MIB)
    if not text.isdecimal():
        raise InvalidInput(f"{LIMIT_VARIABLE} is {text!r}, expected a number of MiB such as {DEFAULT_MIB}, or 0")
    return int(text) << 20


class HandOver:
    """Makes a milestone of what is finished, each time that `Steps` reaches one."""

    def __init__(self, job: JobDirectory, reporter: Reporter, limit: int) -> None:
        self._job = job
        self._reporter = reporter
        self._limit = limit
        self._given = 0

    def __call__(self, steps: Steps) -> None:
        # Above those of former attempts, for the greatest number is what the next one fetches.
        self._given = max(self._given, steps.milestones) + 1
        complete = self._job.checkpoints / f"milestone-{self._given}"
        draft = complete.with_suffix(".draft")
        for leftover in (complete, draft):
            shutil.rmtree(leftover, ignore_errors=True)
        for name in worth_their_way(steps.finished, self._limit):
            _link(steps.directory / name, draft / _FILES / name)
        draft.mkdir(parents=True, exist_ok=True)
        (draft / JOURNAL).write_text(steps.journal_at(self._given), "utf-8")
        draft.rename(complete)
        self._reporter.checkpoint(self._given, complete, self._job.root)


def take_over(job: JobDirectory, journal: Path, directory: Path) -> None:
    """Put what a former attempt handed over where `Steps.resume` looks; what lies there already is newer."""
    if job.resume_from is None or journal.exists() or not (job.resume_from / JOURNAL).is_file():
        return
    files = job.resume_from / _FILES
    for file in sorted(path for path in files.rglob("*") if path.is_file()):
        place = directory / file.relative_to(files)
        place.parent.mkdir(parents=True, exist_ok=True)
        file.replace(place)
    shutil.copyfile(job.resume_from / JOURNAL, journal)


def worth_their_way(finished: Mapping[str, FinishedFile], limit: int) -> list[str]:
    """The files to carry: those first that took most, then the small ones, up to `limit` bytes.

    A folder goes as a whole or not at all: it is made in one go.
    """
    together: dict[str, list[str]] = defaultdict(list)
    for name, entry in finished.items():
        if entry.effort is not Effort.NONE:
            together[name.partition("/")[0]].append(name)

    def size(names: list[str]) -> int:
        return sum(finished[name].bytes for name in names)

    chosen: list[str] = []
    by_worth = sorted(together.values(), key=lambda names: (-finished[names[0]].effort, size(names), names))
    for names in by_worth:
        if size(names) <= limit:
            chosen += names
            limit -= size(names)
    return sorted(chosen)


def _link(file: Path, place: Path) -> None:
    """A second name takes no room, and finished files are never written to. Where there are none, the file stays here."""
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, place)
    except OSError:
        place.unlink(missing_ok=True)
