"""Remembers which files of an export are finished, so that the next run of the same job does not make them again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class FinishedFile(BaseModel):
    model_config = ConfigDict(frozen=True)

    bytes: Annotated[int, Field(ge=0)]
    sha256: str
    facts: dict[str, Any] = {}
    """What was found out about it: how it was made, what was measured."""


class _Document(BaseModel):
    inputs: str
    files: dict[str, FinishedFile]


@dataclass(frozen=True)
class Steps:
    """The finished files below `directory`, kept in `journal` with the digest of all that they were made from.

    A run that is killed leaves a journal of whole entries: it is replaced, never written in place, and an entry goes in
    after its file. What a file is worth is seen by its bytes alone, so that nothing half-written is ever taken for whole.
    """

    journal: Path
    directory: Path
    inputs: str
    _files: dict[str, FinishedFile] = field(default_factory=dict)

    @classmethod
    def resume(cls, journal: Path, directory: Path, inputs: str) -> Steps:
        """With what a former run finished from the same inputs; every other file below the directory is removed."""
        try:
            document = _Document.model_validate_json(journal.read_bytes())
        except (FileNotFoundError, ValidationError):
            document = _Document(inputs=inputs, files={})
        former = document.files if document.inputs == inputs else {}
        steps = cls(journal, directory, inputs)
        for path in sorted(p for p in directory.rglob("*") if p.is_file()):
            entry = former.get(steps._name(path))
            if entry is not None and entry.bytes == path.stat().st_size and entry.sha256 == digest_of(path):
                steps._files[steps._name(path)] = entry
            else:
                path.unlink()
        steps._save()
        return steps

    def find(self, file: Path) -> FinishedFile | None:
        return self._files.get(self._name(file))

    @property
    def finished_bytes(self) -> int:
        return sum(entry.bytes for entry in self._files.values())

    def entries(self) -> dict[str, dict[str, Any]]:
        """For the description of the export: name, size, digest and facts of every file, by its name."""
        return {
            name: {"file": name, "bytes": entry.bytes, "sha256": entry.sha256} | entry.facts
            for name, entry in sorted(self._files.items())
        }

    def finish(self, file: Path, **facts: Any) -> FinishedFile:
        """To be called when the file is whole."""
        entry = FinishedFile(bytes=file.stat().st_size, sha256=digest_of(file), facts=facts)
        self._files[self._name(file)] = entry
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
        self._files.pop(self._name(file), None)
        self._save()
        file.unlink(missing_ok=True)

    def _name(self, file: Path) -> str:
        return file.relative_to(self.directory).as_posix()

    def _save(self) -> None:
        document = _Document(inputs=self.inputs, files=self._files)
        draft = self.journal.with_suffix(".draft")
        draft.write_text(document.model_dump_json(indent=1), "utf-8")
        draft.replace(self.journal)


def digest_of(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_of_inputs(folder: Path, settings: Mapping[str, Any]) -> str:
    """Of every byte below the folder with its place, and of the settings."""
    files = {path.relative_to(folder).as_posix(): digest_of(path) for path in folder.rglob("*") if path.is_file()}
    document = {"files": files, "settings": settings}
    return hashlib.sha256(json.dumps(document, sort_keys=True, default=str).encode()).hexdigest()
