"""Remembers which files of an export are finished, so that the next run of the same job does not make them again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class Effort(IntEnum):
    """What it takes to make a file again, beside reading the base, which every attempt has to fetch anyway."""

    NONE = 0
    """Needed for a moment only."""
    COPYING = 1
    """Hardly more than writing it."""
    COMPUTING = 2
    """Many times as long: arithmetic on every weight, or on conversations."""


class FinishedFile(BaseModel):
    model_config = ConfigDict(frozen=True)

    bytes: Annotated[int, Field(ge=0)]
    sha256: str
    effort: Effort = Effort.COPYING
    facts: dict[str, Any] = {}
    """What was found out about it: how it was made, what was measured."""


class _Document(BaseModel):
    inputs: str
    files: dict[str, FinishedFile]
    remembered: dict[str, FinishedFile] = {}
    milestones: Annotated[int, Field(ge=0)] = 0


def nobody_listens(steps: Steps) -> None:
    """Where there is no other attempt to go on from here."""


@dataclass(frozen=True)
class Steps:
    """The finished files below `directory`, kept in `journal` with the digest of all that they were made from.

    A run that is killed leaves a journal of whole entries: it is replaced, never written in place, and an entry goes in
    after its file. What a file is worth is seen by its bytes alone, so that nothing half-written is ever taken for whole.
    A file that is gone is remembered: made again with the same digest, it is as proven as it was.
    """

    journal: Path
    directory: Path
    inputs: str
    milestones: int = 0
    """Reached by former runs."""
    on_milestone: Callable[[Steps], None] = nobody_listens
    _files: dict[str, FinishedFile] = field(default_factory=dict)
    _remembered: dict[str, FinishedFile] = field(default_factory=dict)
    _proofs: set[str] = field(default_factory=set)
    """Names of the files that were proven before this run."""
    _found: set[str] = field(default_factory=set)
    """Names of the files that were there before this run."""

    @classmethod
    def resume(
        cls,
        journal: Path,
        directory: Path,
        inputs: str,
        on_milestone: Callable[[Steps], None] = nobody_listens,
    ) -> Steps:
        """With what a former run finished from the same inputs; every other file below the directory is removed."""
        try:
            document = _Document.model_validate_json(journal.read_bytes())
        except (FileNotFoundError, ValidationError):
            document = _Document(inputs=inputs, files={})
        steps = cls(journal, directory, inputs, document.milestones, on_milestone)
        former = document.files if document.inputs == inputs else {}
        for path in sorted(p for p in directory.rglob("*") if p.is_file()):
            entry = former.get(steps._name(path))
            if entry is not None and entry.bytes == path.stat().st_size and entry.sha256 == digest_of(path):
                steps._files[steps._name(path)] = entry
                steps._note_reused(steps._name(path), entry, there=True)
            else:
                path.unlink()
        if document.inputs == inputs:
            gone = {name: entry for name, entry in former.items() if name not in steps._files}
            steps._remembered.update(document.remembered | gone)
        steps._save()
        return steps

    def find(self, file: Path) -> FinishedFile | None:
        return self._files.get(self._name(file))

    def recall(self, file: Path) -> FinishedFile | None:
        """What is known of a file that is finished, or was once and is gone."""
        return self.find(file) or self._remembered.get(self._name(file))

    @property
    def finished(self) -> Mapping[str, FinishedFile]:
        """By their place below the directory."""
        return self._files

    @property
    def reused(self) -> list[str]:
        """For people: what was not done again, since a former run had done it."""
        found = sorted({name.partition("/")[0] for name in self._found})
        return found + [f"the proof of {name}" for name in sorted(self._proofs)]

    @property
    def finished_bytes(self) -> int:
        return sum(entry.bytes for entry in self._files.values())

    def entries(self) -> dict[str, dict[str, Any]]:
        """For the description of the export: name, size, digest and facts of every file, by its name."""
        return {
            name: {"file": name, "bytes": entry.bytes, "sha256": entry.sha256} | entry.facts
            for name, entry in sorted(self._files.items())
        }

    def finish(
        self, file: Path, effort: Effort = Effort.COPYING, sha256: str | None = None, **facts: Any
    ) -> FinishedFile:
        """To be called when the file is whole. Whoever wrote it may know its digest already."""
        name, sha256 = self._name(file), sha256 or digest_of(file)
        former = self._remembered.pop(name, None)
        if former is not None and former.sha256 == sha256:
            facts = former.facts | facts
            self._note_reused(name, former, there=False)
        entry = FinishedFile(bytes=file.stat().st_size, sha256=sha256, effort=effort, facts=facts)
        self._files[name] = entry
        self._save()
        return entry

    def learn(self, file: Path, **facts: Any) -> FinishedFile:
        """Add to what is known of a finished file."""
        entry = self._files[self._name(file)]
        entry = entry.model_copy(update={"facts": entry.facts | facts})
        self._files[self._name(file)] = entry
        self._save()
        return entry

    def remove(self, file: Path) -> None:
        if entry := self._files.pop(self._name(file), None):
            self._remembered[self._name(file)] = entry
        self._save()
        file.unlink(missing_ok=True)

    def reach_milestone(self) -> None:
        """To be called when something is finished that took its time: another attempt may go on from here."""
        self.on_milestone(self)

    def journal_at(self, milestone: int) -> str:
        """What `resume` reads."""
        document = _Document(inputs=self.inputs, files=self._files, remembered=self._remembered, milestones=milestone)
        return document.model_dump_json(indent=1)

    def _note_reused(self, name: str, entry: FinishedFile, *, there: bool) -> None:
        if there:
            self._found.add(name)
        if "verification" in entry.facts:
            self._proofs.add(name.partition("/")[0])

    def _name(self, file: Path) -> str:
        return file.relative_to(self.directory).as_posix()

    def _save(self) -> None:
        draft = self.journal.with_suffix(".draft")
        draft.write_text(self.journal_at(self.milestones), "utf-8")
        draft.replace(self.journal)


def digest_of(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_of_inputs(folder: Path, settings: Mapping[str, Any], aside: Path) -> str:
    """Of every byte below the folder with its place, but for those below `aside`, and of the settings."""
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.is_relative_to(aside)]
    files = {path.relative_to(folder).as_posix(): digest_of(path) for path in paths}
    document = {"files": files, "settings": settings}
    return hashlib.sha256(json.dumps(document, sort_keys=True, default=str).encode()).hexdigest()
