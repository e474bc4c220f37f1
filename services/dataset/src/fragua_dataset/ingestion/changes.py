"""Keeps what fixers did, for people who compare a version with its parent: `outputs/changes.jsonl`."""

from __future__ import annotations

from collections import Counter

import msgspec

from fragua_dataset.domain.version_report import FixReport
from fragua_dataset.domain.version_spec import Fixer
from fragua_dataset.ingestion.canonical import Row
from fragua_dataset.ingestion.output import OutputFile
from fragua_dataset.ingestion.spool import Note


class ChangeLog:
    """One line for each row that was changed or dropped."""

    def __init__(self, file: OutputFile) -> None:
        self.file = file
        self._rows_changed = 0
        self._by_fixer: Counter[str] = Counter()

    def add(self, row: Row, note: Note, *, kept: bool) -> None:
        """`row`: as the fixers left it."""
        if kept and not note.changes:
            return
        self._rows_changed += bool(note.changes)
        self._by_fixer.update(change["fixer"] for change in note.changes)
        self._by_fixer[Fixer.DROP_DUPLICATES] += not kept
        before = note.before or row["id"]
        line = {
            "origin": row.get("origin", before),
            "before": before,
            "after": row["id"] if kept else None,
            "changes": note.changes,
        }
        self.file.write(msgspec.json.encode(line) + b"\n")

    def report(self) -> FixReport:
        return FixReport(rows_changed=self._rows_changed, changes_by_fixer=dict(sorted((+self._by_fixer).items())))
