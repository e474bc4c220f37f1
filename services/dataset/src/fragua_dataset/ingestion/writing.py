"""Writes what a version is: its rows by side, an audit of each side, its samples by type, and what fixers did."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from fragua_dataset.domain.samples import SAMPLES_FILE
from fragua_dataset.domain.version_report import FileReport, FixReport
from fragua_dataset.domain.version_spec import VersionSpec
from fragua_dataset.ingestion.audit import Audit
from fragua_dataset.ingestion.changes import ChangeLog
from fragua_dataset.ingestion.output import OutputFile
from fragua_dataset.ingestion.samples import SampleCounter
from fragua_dataset.ingestion.spool import Spool, decode_row

_ROWS_BETWEEN_GLANCES = 1024


class VersionWriter:
    """Its files appear with `finish`; audits always do, what they find is what makes a version invalid."""

    def __init__(self, outputs: Path, spec: VersionSpec) -> None:
        self._outputs = outputs
        self._open = ExitStack()
        self._train, self._validation = (self._file(f"{side}.jsonl") for side in ("train", "validation"))
        self._changes = ChangeLog(self._file("changes.jsonl")) if spec.fixers else None
        self._audits = {"train": Audit(spec.profile.record), "validation": Audit(spec.profile.record)}
        self._samples = SampleCounter()
        (outputs / SAMPLES_FILE).unlink(missing_ok=True)

    def write(
        self, spool: Spool, kept: NDArray[np.bool_], held_out: NDArray[np.bool_], glance: Callable[[], None]
    ) -> None:
        sides = zip(spool.lines(), spool.notes(), kept.data, held_out.data, strict=True)
        for number, (line, note, is_kept, is_held_out) in enumerate(sides):
            if number % _ROWS_BETWEEN_GLANCES == 0:
                glance()
            row = decode_row(line)
            if self._changes:
                self._changes.add(row, note, kept=bool(is_kept))
            if is_kept:
                (self._validation if is_held_out else self._train).write(line)
                self._audits["validation" if is_held_out else "train"].add(row, note.findings)
                self._samples.add(row)

    def finish(self, *, valid: bool) -> dict[str, FileReport]:
        for side, audit in self._audits.items():
            write_json(audit.report(), self._outputs / f"{side}_audit_report.json")
        if not valid:
            return {}
        write_json(self._samples.report(), self._outputs / SAMPLES_FILE)
        files = {"train.jsonl": self._train.finish(), "validation.jsonl": self._validation.finish()}
        return files | ({"changes.jsonl": self._changes.file.finish()} if self._changes else {})

    def fix_report(self) -> FixReport | None:
        return self._changes.report() if self._changes else None

    def close(self) -> None:
        self._open.close()

    def _file(self, name: str) -> OutputFile:
        return self._open.enter_context(closing(OutputFile(self._outputs / name)))


def write_json(content: BaseModel, path: Path) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(content.model_dump_json(indent=2) + "\n", "utf-8")
    partial.replace(path)
