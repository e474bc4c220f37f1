"""What making a version found: `outputs/report.json`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from fragua_dataset.domain.problems import Problem, ProblemCode, Severity
from fragua_dataset.domain.version_spec import VersionSpec


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileReport(_Frozen):
    bytes: int
    sha256: str


class SplitReport(_Frozen):
    validation_fraction: float
    seed: int
    forced: Literal["train", "validation"] | None
    """The side that chance had left empty and that was given one group."""


class TruncationReport(_Frozen):
    """What one tokenizer does to the rows at its maximum length."""

    tokenizer: str
    max_length: int
    longest: int
    """Tokens of the longest row, chat template included."""
    rows_cut: int
    """Rows that are too long: they lose part of their answer, their end-of-turn token, or what is written after it."""
    rows_without_answer: int
    """Rows that lose their answer whole."""


class FixReport(_Frozen):
    rows_changed: int
    changes_by_fixer: dict[str, int]
    """Fields that each fixer changed; for `drop-duplicates` the rows it dropped."""


class FilterReport(_Frozen):
    rows_kept: int
    rows_left_out: dict[str, int]
    """By the condition that a row met first not: `score`, `question`, `answer` or a problem code."""


class VersionReport(_Frozen):
    """`outputs/report.json`."""

    valid: bool
    rows: int
    """Records of the source, good or bad."""
    train_rows: int
    validation_rows: int
    problem_counts: dict[ProblemCode, int]
    """All problems, listed or not."""
    severities: dict[ProblemCode, Severity]
    """How the profile weighs each code that was found."""
    problems: list[Problem]
    """The first ones by line; errors are listed before warnings when there are too many."""
    source: FileReport
    """Of several parents: their sizes added, and the digest of their digests."""
    files: dict[str, FileReport]
    split: SplitReport
    truncation: list[TruncationReport] = Field(default_factory=list)
    fixes: FixReport | None = None
    selection: FilterReport | None = None
    spec: VersionSpec
