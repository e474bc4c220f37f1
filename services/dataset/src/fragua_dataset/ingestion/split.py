"""Divides examples into a training and a held-out file in one pass, group by group."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec
import xxhash

from fragua_dataset.domain.problems import ProblemCode
from fragua_dataset.domain.version_report import FileReport, SplitReport
from fragua_dataset.domain.version_spec import VersionSpec
from fragua_dataset.ingestion.problems import Flaw, kind_of, pointer_to
from fragua_dataset.ingestion.shapes import Example

Side = Literal["train", "validation"]
_RANKS = 2**64


def group_of(example: Example, group_field: str) -> str | Flaw:
    """What must stay together: the rows of one group, or the rows that ask one question."""
    group = example.metadata.get(group_field)
    if group is None:
        return f"question {normalised(example.question)}"
    if not isinstance(group, str | int):
        message = f"the group is {kind_of(group)}, expected text or a whole number"
        hint = f"change it, or name another group_field than {group_field!r}"
        return Flaw(pointer_to("", group_field), ProblemCode.INVALID_GROUP, message, hint)
    return f"group {group}"


def normalised(text: str) -> str:
    """Equal for questions that differ in case, white space, punctuation or Unicode form only."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.findall(r"\w+", plain)) or plain.strip()


class SplitWriter:
    """Writes each example to `train.jsonl` or `validation.jsonl`; both appear only with `finish`.

    A seeded hash gives every group a rank; groups that rank below the fraction are held out. So a row's side
    depends on its group and the seed alone, and rows added later move nothing. Where chance leaves one side
    empty although there are two groups, the group nearest to the border changes sides.
    """

    def __init__(self, outputs: Path, spec: VersionSpec) -> None:
        self._spec = spec
        self._border = spec.validation_fraction * _RANKS
        self._files: dict[Side, _OutputFile] = {
            side: _OutputFile(outputs / f"{side}.jsonl") for side in ("train", "validation")
        }
        self._ranks_while_one_sided = array("Q")
        self._forced: Side | None = None

    def write(self, example: Example, group: str) -> None:
        rank = xxhash.xxh3_64_intdigest(group.encode(), seed=self._spec.split_seed)
        side: Side = "validation" if rank < self._border else "train"
        if self._is_one_sided():
            self._ranks_while_one_sided.append(rank)
        self._files[side].write(msgspec.json.encode(example.as_row()) + b"\n")

    def balance(self) -> bool:
        """Fill an empty side after the last row; False when all rows are one group, so that it stays empty."""
        if not self._is_one_sided() or self._border == 0:
            return True
        ranks = self._ranks_while_one_sided
        if len(ranks) == 0:
            return False
        if self._files["train"].rows == 0:
            self._move("validation", "train", max(ranks))
        elif min(ranks) < max(ranks):
            self._move("train", "validation", min(ranks))
        return min(ranks) < max(ranks)

    def finish(self) -> None:
        for file in self._files.values():
            file.finish()

    def __enter__(self) -> SplitWriter:
        return self

    def __exit__(self, *_exception: object) -> None:
        for file in self._files.values():
            file.close()

    @property
    def rows(self) -> dict[Side, int]:
        return {side: file.rows for side, file in self._files.items()}

    def file_reports(self) -> dict[str, FileReport]:
        return {f"{side}.jsonl": file.report() for side, file in self._files.items()}

    def split_report(self) -> SplitReport:
        return SplitReport(
            validation_fraction=self._spec.validation_fraction, seed=self._spec.split_seed, forced=self._forced
        )

    def _is_one_sided(self) -> bool:
        return any(file.rows == 0 for file in self._files.values())

    def _move(self, full: Side, empty: Side, moved_rank: int) -> None:
        self._forced = empty
        with self._files[full].start_over() as rows:
            for rank, row in zip(self._ranks_while_one_sided, rows, strict=True):
                self._files[empty if rank == moved_rank else full].write(row)


class _OutputFile:
    """A file of rows that gets its name when it is complete."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._path.unlink(missing_ok=True)
        self._partial = path.with_suffix(".partial")
        self._begin()

    def write(self, row: bytes) -> None:
        self._stream.write(row)
        self._digest.update(row)
        self.rows += 1
        self._bytes += len(row)

    @contextmanager
    def start_over(self) -> Iterator[BinaryIO]:
        """Begin again with an empty file, and read what was written so far."""
        self._stream.close()
        former = self._partial.replace(self._path.with_suffix(".former"))
        self._begin()
        with former.open("rb") as rows:
            yield rows
        former.unlink()

    def finish(self) -> None:
        self._stream.close()
        self._partial.replace(self._path)

    def close(self) -> None:
        """Leave no trace of an unfinished file."""
        self._stream.close()
        self._partial.unlink(missing_ok=True)

    def report(self) -> FileReport:
        return FileReport(bytes=self._bytes, sha256=self._digest.hexdigest())

    def _begin(self) -> None:
        self.rows = 0
        self._bytes = 0
        self._digest = hashlib.sha256()
        self._stream = self._partial.open("wb", buffering=1 << 20)
