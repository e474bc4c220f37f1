"""Imports in this process, on job directories of a test."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from fragua_dataset.domain.version_report import VersionReport
from fragua_dataset.ingestion.ingest import ingest
from fragua_platform.errors import FraguaError
from fragua_platform.jobs.engine import JobDirectory, Reporter

AUDITS = {"train_audit_report.json", "validation_audit_report.json"}


class Import:
    """One job directory, and what an import left in it."""

    def __init__(self, root: Path, content: bytes, **spec: Any) -> None:
        self.job = JobDirectory(root)
        self.reporter = Reporter(io.StringIO())
        for folder in (self.job.inputs, self.job.outputs):
            folder.mkdir(parents=True, exist_ok=True)
        (self.job.inputs / "source").write_bytes(content)
        (root / "spec.json").write_text(json.dumps(spec), "utf-8")

    def run(self) -> VersionReport:
        ingest(self.job, self.reporter)
        return self.report

    def refusal(self) -> FraguaError:
        with pytest.raises(FraguaError) as refusal:
            ingest(self.job, self.reporter)
        return refusal.value

    @property
    def report(self) -> VersionReport:
        return VersionReport.model_validate_json((self.job.outputs / "report.json").read_bytes())

    @property
    def outputs(self) -> set[str]:
        return {path.name for path in self.job.outputs.iterdir()}

    def rows(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.job.outputs / name).read_text("utf-8").splitlines()]


def questions(count: int) -> bytes:
    rows = [{"prompt": f"¿Cuánto es {n} + 1, señor?", "completion": f"Es {n + 1}."} for n in range(count)]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
