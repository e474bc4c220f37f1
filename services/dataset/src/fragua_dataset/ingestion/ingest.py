"""Imports one file: checks every row, drops repeats, holds out whole groups, and tells everything that is wrong."""

from __future__ import annotations

import time
from pathlib import Path

from fragua_dataset.domain.problems import ProblemCode
from fragua_dataset.domain.version_report import VersionReport
from fragua_dataset.domain.version_spec import VersionSpec, parse_version_spec
from fragua_dataset.ingestion.containers import read_records
from fragua_dataset.ingestion.problems import Flaw, ProblemLog
from fragua_dataset.ingestion.records import Record
from fragua_dataset.ingestion.shapes import Example, example_from_row
from fragua_dataset.ingestion.source import SourceFile
from fragua_dataset.ingestion.split import SplitWriter, group_of
from fragua_platform.errors import LimitExceeded
from fragua_platform.jobs.engine import Interrupted, JobDirectory, Reporter

_SECONDS_BETWEEN_REPORTS = 0.5


def ingest(job: JobDirectory, reporter: Reporter) -> None:
    spec = parse_version_spec(job.read_spec())
    watch = _Watch(reporter)
    with SourceFile(job.inputs / "source", watch.glance) as source, SplitWriter(job.outputs, spec) as split:
        watch.source = source
        rows, problems = _read_all(source, spec, split, watch)
        _judge_the_whole(split, spec, problems)
        valid = problems.errors == 0
        if valid:
            split.finish()
        report = VersionReport(
            valid=valid,
            rows=rows,
            train_rows=split.rows["train"] if valid else 0,
            validation_rows=split.rows["validation"] if valid else 0,
            problem_counts=dict(sorted(problems.counts.items())),
            severities=problems.severities(),
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


class _Watch:
    """Reports how far the reading is, and ends it when a stop is requested."""

    def __init__(self, reporter: Reporter) -> None:
        self.source: SourceFile | None = None
        self.rows = 0
        self._reporter = reporter
        self._next_report = 0.0

    def glance(self) -> None:
        if self._reporter.stop_requested:
            # Reading a file again costs seconds, so there is no checkpoint to save.
            raise Interrupted
        if self.source and time.monotonic() >= self._next_report:
            self._reporter.progress("importing", self.source.bytes_read, self.source.size, f"{self.rows} rows")
            self._next_report = time.monotonic() + _SECONDS_BETWEEN_REPORTS


def _read_all(source: SourceFile, spec: VersionSpec, split: SplitWriter, watch: _Watch) -> tuple[int, ProblemLog]:
    """Returns the number of rows and what is wrong with them."""
    problems = ProblemLog(spec.profile)
    first_records: dict[int, int] = {}
    for record in read_records(source.text(spec), spec):
        watch.rows += 1
        if watch.rows > spec.max_rows:
            raise LimitExceeded(f"the file has more than {spec.max_rows} rows; raise max_rows or divide the file")
        found = _read_row(record, spec)
        if not isinstance(found, tuple):
            for flaw in found:
                problems.add(record.line, record.placed(flaw))
            continue
        example, group = found
        for warning in example.flaws:
            problems.add(record.line, record.placed(warning))
        first = first_records.setdefault(int(example.id, 16), record.number)
        if first != record.number:
            problems.add(record.line, record.placed(_duplicate_of(first, record)))
        elif problems.errors == 0:
            split.write(example, group)
    return watch.rows, problems


def _read_row(record: Record, spec: VersionSpec) -> tuple[Example, str] | list[Flaw]:
    if isinstance(record.row, list):
        return record.row
    example = example_from_row(record.row, spec)
    if isinstance(example, list):
        return example
    group = group_of(example, spec.group_field)
    return [group] if isinstance(group, Flaw) else (example, group)


def _duplicate_of(first: int, record: Record) -> Flaw:
    message = f"the messages are those of {'line' if record.index is None else 'element'} {first}"
    return Flaw("", ProblemCode.DUPLICATE_EXAMPLE, message, "nothing to do: the repeat is left out")


def _judge_the_whole(split: SplitWriter, spec: VersionSpec, problems: ProblemLog) -> None:
    if problems.errors:
        return
    examples = sum(split.rows.values())
    if examples < spec.profile.min_examples:
        message = f"the file has {examples} distinct examples, expected at least {spec.profile.min_examples}"
        problems.add(
            None, Flaw("", ProblemCode.TOO_FEW_EXAMPLES, message, "add examples, or lower min_examples of the profile")
        )
    elif not split.balance():
        message = "all examples are one group, so nothing is held out and no evaluation can follow"
        hint = f"give the rows different questions, or different values of {spec.group_field!r}"
        problems.add(None, Flaw("", ProblemCode.SINGLE_GROUP, message, hint))


def _write_report(report: VersionReport, path: Path) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(report.model_dump_json(indent=2) + "\n", "utf-8")
    partial.replace(path)
