"""Everything that the papers of an export tell, gathered in one place."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from fragua_exporter.domain.export_spec import ExportSpec
from fragua_exporter.domain.exported_file import ExportedFile
from fragua_exporter.domain.history import History, Ingredient, TrainingFacts, parse_history, parse_training


@dataclass(frozen=True)
class PublishedFile:
    name: str
    bytes: int
    sha256: str

    @classmethod
    def of(cls, file: Path) -> Self:
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return cls(file.name, file.stat().st_size, digest)


@dataclass(frozen=True)
class ExportFacts:
    spec: ExportSpec
    architecture: str
    """llama.cpp's name of it."""
    context_length: int
    chat_template: str
    """The family's name."""
    models: tuple[ExportedFile, ...]
    """The GGUF files of the merged model."""
    files: tuple[PublishedFile, ...]
    """All files but these papers, the GGUF files included."""
    tools: Mapping[str, str]
    """Versions of what made the files."""
    training: TrainingFacts | None
    history: History

    def with_files(self, *more: PublishedFile) -> ExportFacts:
        return replace(self, files=(*self.files, *more))

    @property
    def ingredients(self) -> Sequence[Ingredient]:
        """With the dataset of the training, which its own record pins."""
        known = list(self.history.ingredients)
        if self.training and (dataset := self.training.provenance.get("dataset_version")):
            digest = self.training.provenance.get("dataset_manifest_sha256", "")
            known.append(Ingredient(role="training dataset", name=dataset, manifest_sha256=digest))
        return known


def read_facts(inputs: Path) -> tuple[TrainingFacts | None, History]:
    """What lies beside the inputs; by hand neither has to."""
    training, history = inputs / "adapter" / "training_info.json", inputs / "history.json"
    return (
        parse_training(training.read_bytes()) if training.is_file() else None,
        parse_history(history.read_bytes()) if history.is_file() else History(),
    )
