"""Reads the rows of a version again and tells which are not what they were: `python -m … JOB_DIR`.

`inputs/` holds the files, spec.json names them; `outputs/verification.json` tells what was found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from fragua_dataset.domain.verification import FileCheck, RowChecks, RowChecksAsked
from fragua_dataset.ingestion.canonical import id_of
from fragua_dataset.ingestion.reading import Message
from fragua_platform.jobs.engine import Interrupted, JobDirectory, Reporter, run_engine

_LONGEST_ROW = 256 * 2**20
"""Several times what a row of an import may have; a file whose line ends were taken away is not read whole."""
_ROWS_BETWEEN_GLANCES = 4096
_ID = re.compile("[0-9a-f]{16}")


class _Row(msgspec.Struct):
    """What an id is made from; the rest of a row is covered by the digest of its file alone."""

    id: str
    messages: list[Message]


_decode = msgspec.json.Decoder(_Row).decode


def verify(job: JobDirectory, reporter: Reporter) -> None:
    asked = RowChecksAsked.model_validate(job.read_spec())
    checks = RowChecks(files={name: _check(job.inputs / name, asked.most_faults, reporter) for name in asked.files})
    (job.outputs / "verification.json").write_text(checks.model_dump_json(), "utf-8")


def _check(file: Path, most_faults: int, reporter: Reporter) -> FileCheck:
    rows = faulty = 0
    faults: list[str] = []
    for line in _lines(file):
        rows += 1
        if rows % _ROWS_BETWEEN_GLANCES == 0:
            _glance(reporter, rows)
        if fault := _fault_of(line):
            faulty += 1
            if len(faults) < most_faults:
                faults.append(f"line {rows}: {fault}")
    return FileCheck(rows=rows, faulty_rows=faulty, faults=faults)


def _lines(file: Path) -> Iterator[bytes]:
    with file.open("rb", buffering=1 << 18) as lines:
        while line := lines.readline(_LONGEST_ROW):
            yield line


def _glance(reporter: Reporter, rows: int) -> None:
    if reporter.stop_requested:
        raise Interrupted
    reporter.progress("verifying", rows, 0)


def _fault_of(line: bytes) -> str:
    try:
        row = _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "is not a row"
    if not row.messages:
        return "has no messages"
    actual = id_of(row.messages)
    if row.id == actual:
        return ""
    # What is no id may be the text of a row, which nobody is shown.
    return f"its id is {row.id if _ID.fullmatch(row.id) else 'none'}, and its messages have {actual}"


if __name__ == "__main__":
    run_engine(verify)
