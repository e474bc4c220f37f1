"""Imports one file: checks every row, drops repeats, holds out whole groups, and tells everything that is wrong."""

from __future__ import annotations

import time
from pathlib import Path

from fragua_dataset.domain.import_spec import ImportReport, ImportSpec, ProblemCode, parse_import_spec
from fragua_dataset.ingestion.json_rows import parse_row
from fragua_dataset.ingestion.lines import Line, SourceFile
from fragua_dataset.ingestion.problems import Flaw, ProblemLog
from fragua_dataset.ingestion.shapes import Example, example_from_row
from fragua_dataset.ingestion.split import SplitWriter, group_of
from fragua_platform.errors import LimitExceeded
from fragua_platform.jobs.engine import Interrupted, JobDirectory, Reporter

_SECONDS_BETWEEN_REPORTS = 0.5
_ROWS_BETWEEN_GLANCES = 256


def ingest(job: JobDirectory, reporter: Reporter) -> None:
    spec = parse_import_spec(job.read_spec())
    source = SourceFile(job.inputs / "source")
    source.refuse_other_formats()
    with SplitWriter(job.outputs, spec) as split:
        rows, problems = _read_all(source, spec, split, reporter)
        _judge_the_whole(split, spec, problems)
        valid = problems.errors == 0
        if valid:
            split.finish()
    report = ImportReport(
        valid=valid,
        rows=rows,
        train_rows=split.rows["train"] if valid else 0,
        validation_rows=split.rows["validation"] if valid else 0,
        problem_counts=dict(sorted(problems.counts.items())),
        problems=problems.listed(),
        source=source.report(),
        files=split.file_reports() if valid else {},
        split=split.split_report(),
        spec=spec,
    )
    _write_report(report, job.outputs / "report.json")
    reporter.progress("importing", source.size, source.size, f"{rows} rows")
    if not valid:
        raise problems.as_error(rows)


def _read_all(source: SourceFile, spec: ImportSpec, split: SplitWriter, reporter: Reporter) -> tuple[int, ProblemLog]:
    """Returns the number of rows and what is wrong with them."""
    problems = ProblemLog()
    first_lines: dict[int, int] = {}
    rows = 0
    next_report = 0.0
    for line in source.lines(spec.max_line_bytes):
        if line.number % _ROWS_BETWEEN_GLANCES == 0:
            if reporter.stop_requested:
                # Reading a file again costs seconds, so there is no checkpoint to save.
                raise Interrupted
            if time.monotonic() >= next_report:
                reporter.progress("importing", source.bytes_read, source.size, f"{rows} rows")
                next_report = time.monotonic() + _SECONDS_BETWEEN_REPORTS
        if line.content is not None and not line.content.strip():
            continue
        rows += 1
        if rows > spec.max_rows:
            raise LimitExceeded(f"the file has more than {spec.max_rows} rows; raise max_rows or divide the file")
        found = _read_row(line, spec)
        if not isinstance(found, tuple):
            for flaw in found:
                problems.add(line.number, flaw)
            continue
        example, group = found
        first_line = first_lines.setdefault(int(example.id, 16), line.number)
        if first_line != line.number:
            problems.add(line.number, _duplicate_of(first_line))
        elif problems.errors == 0:
            split.write(example, group)
    return rows, problems


def _read_row(line: Line, spec: ImportSpec) -> tuple[Example, str] | list[Flaw]:
    if line.content is None:
        message = f"the line is longer than {spec.max_line_bytes} bytes"
        return [Flaw("", ProblemCode.LINE_TOO_LONG, message, "divide the row, or raise max_line_bytes")]
    row = parse_row(line.content, spec.max_depth)
    if isinstance(row, list):
        return row
    example = example_from_row(row, spec)
    if isinstance(example, list):
        return example
    group = group_of(example, spec.group_field)
    return [group] if isinstance(group, Flaw) else (example, group)


def _duplicate_of(first_line: int) -> Flaw:
    message = f"the messages are those of line {first_line}"
    return Flaw("", ProblemCode.DUPLICATE_EXAMPLE, message, "nothing to do: the repeat is left out")


def _judge_the_whole(split: SplitWriter, spec: ImportSpec, problems: ProblemLog) -> None:
    if problems.errors:
        return
    examples = sum(split.rows.values())
    if examples < spec.min_examples:
        message = f"the file has {examples} distinct examples, expected at least {spec.min_examples}"
        problems.add(None, Flaw("", ProblemCode.TOO_FEW_EXAMPLES, message, "add examples, or lower min_examples"))
    elif not split.balance():
        message = "all examples are one group, so nothing is held out and no evaluation can follow"
        hint = f"give the rows different questions, or different values of {spec.group_field!r}"
        problems.add(None, Flaw("", ProblemCode.SINGLE_GROUP, message, hint))


def _write_report(report: ImportReport, path: Path) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(report.model_dump_json(indent=2) + "\n", "utf-8")
    partial.replace(path)
