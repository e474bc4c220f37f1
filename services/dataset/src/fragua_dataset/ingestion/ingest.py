"""Makes one version: takes all rows in, judges them beside each other, divides them, and tells everything that is wrong."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fragua_dataset.domain.problems import ProblemCode
from fragua_dataset.domain.profile import Profile
from fragua_dataset.domain.version_report import SplitReport, VersionReport
from fragua_dataset.domain.version_spec import Sides, VersionSpec, parse_version_spec
from fragua_dataset.ingestion.division import Division, divide
from fragua_dataset.ingestion.intake import Intake
from fragua_dataset.ingestion.judgement import Judge
from fragua_dataset.ingestion.ledger import Ledger
from fragua_dataset.ingestion.memory import return_large_pieces
from fragua_dataset.ingestion.problems import Flaw, ProblemLog
from fragua_dataset.ingestion.rows import Source, open_source
from fragua_dataset.ingestion.spool import Spool
from fragua_dataset.ingestion.versions import Counterparts
from fragua_dataset.ingestion.writing import VersionWriter, write_json
from fragua_platform.jobs.engine import Interrupted, JobDirectory, Reporter

_SECONDS_BETWEEN_REPORTS = 0.5


def ingest(job: JobDirectory, reporter: Reporter) -> None:
    spec = parse_version_spec(job.read_spec())
    watch = Watch(partial(reporter.progress, "importing"), lambda: reporter.stop_requested)
    report, problems = make_version(spec, job.inputs, job.outputs, watch)
    write_json(report, job.outputs / "report.json")
    watch.finish()
    if not report.valid:
        raise problems.as_error(report.rows)


def make_version(
    spec: VersionSpec, inputs: Path, outputs: Path | None, watch: Watch
) -> tuple[VersionReport, ProblemLog]:
    """Writes audits, and the rows when no problem is an error; without `outputs` only finds out what is wrong."""
    return_large_pieces()
    profile = _with_policy(spec)
    problems = ProblemLog(profile)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ingestion-", dir=inputs.parent)))
        source = stack.enter_context(closing(open_source(inputs, spec, watch.glance)))
        ledger = stack.enter_context(closing(Ledger(scratch)))
        spool = stack.enter_context(closing(Spool(scratch)))
        counterparts = stack.enter_context(closing(Counterparts(inputs, spec.counterparts, scratch)))
        writer = stack.enter_context(closing(VersionWriter(outputs, spec))) if outputs else None

        watch.source = source
        intake = Intake(
            spec, profile, problems, ledger, spool if writer or _rows_are_compared(spec, problems) else None
        )
        for arrival in source.arrivals(keys_only=intake.wants_keys_only):
            intake.take(arrival)
            watch.rows = intake.rows

        judge = Judge(spec, ledger, spool, problems)
        judge.leave_out_repeats()
        judge.compare_answers()
        judge.compare_with(counterparts)
        judge.find_near_repeats(counterparts, scratch, watch.glance)
        _tell_uncompared(spec, problems)
        truncation = judge.measure_truncation(inputs, watch.glance)
        _count_examples(judge, spec, problems)
        division = _divide(spec, ledger, judge, problems)

        valid = problems.errors == 0
        if writer:
            writer.write(spool, judge.kept, division.held_out, watch.glance)
        held_out = int(np.count_nonzero(division.held_out & judge.kept))
        report = VersionReport(
            valid=valid,
            rows=intake.rows,
            train_rows=int(np.count_nonzero(judge.kept)) - held_out if valid else 0,
            validation_rows=held_out if valid else 0,
            problem_counts=dict(sorted(problems.counts.items())),
            severities=problems.severities(),
            problems=problems.listed(),
            source=source.report(),
            files=writer.finish(valid=valid) if writer else {},
            split=SplitReport(
                validation_fraction=spec.validation_fraction, seed=spec.split_seed, forced=division.forced
            ),
            truncation=truncation,
            fixes=writer.fix_report() if writer else None,
            selection=intake.filter_report(),
            spec=spec,
        )
    return report, problems


class Watch:
    """Tells how far the reading is, and ends the work when a stop is requested."""

    def __init__(self, tell: Callable[[int, int, str], None], stop_requested: Callable[[], bool]) -> None:
        """`tell` is given bytes, of how many, and a few words."""
        self.source: Source | None = None
        self.rows = 0
        self._tell = tell
        self._stop_requested = stop_requested
        self._next_report = 0.0

    def glance(self) -> None:
        if self._stop_requested():
            # Reading a file again costs seconds, so there is no checkpoint to save.
            raise Interrupted
        if self.source and time.monotonic() >= self._next_report:
            self._tell(self.source.bytes_read, self.source.size, f"{self.rows} rows")
            self._next_report = time.monotonic() + _SECONDS_BETWEEN_REPORTS

    def finish(self) -> None:
        if self.source:
            self._tell(self.source.size, self.source.size, f"{self.rows} rows")


def _with_policy(spec: VersionSpec) -> Profile:
    """The profile, with what the branch thinks of personal data."""
    if spec.personal_data == "warn":
        return spec.profile
    weight = "off" if spec.personal_data == "allow" else "error"
    private = {ProblemCode.SECRET: weight, ProblemCode.PERSONAL_DATA: weight}
    return spec.profile.model_copy(update={"checks": spec.profile.checks | private})


def _rows_are_compared(spec: VersionSpec, problems: ProblemLog) -> bool:
    """Then what they say is looked at again, when all have been read."""
    codes = (ProblemCode.INCONSISTENT_ANSWER, ProblemCode.NEAR_DUPLICATE)
    return bool(spec.counterparts or spec.tokenizers) or any(map(problems.weighs, codes))


def _tell_uncompared(spec: VersionSpec, problems: ProblemLog) -> None:
    for other in spec.uncompared:
        message = f"{other.version} was not compared with: {other.why}"
        problems.add(None, Flaw("", ProblemCode.NOT_COMPARED, message, other.way_out))


def _count_examples(judge: Judge, spec: VersionSpec, problems: ProblemLog) -> None:
    examples = int(np.count_nonzero(judge.kept)) - judge.repeats
    fewest = max(spec.profile.min_examples, spec.row_filter.min_examples if spec.row_filter else 0)
    if problems.errors == 0 and examples < fewest:
        message = f"there are {examples} distinct examples, expected at least {fewest}"
        hint = "add examples, or lower min_examples of the profile or the filter"
        problems.add(None, Flaw("", ProblemCode.TOO_FEW_EXAMPLES, message, hint))


def _divide(spec: VersionSpec, ledger: Ledger, judge: Judge, problems: ProblemLog) -> Division:
    if spec.evaluation:
        return Division(np.ones(len(ledger), np.bool_))
    if spec.sides is Sides.KEEP:
        return Division(ledger.was_held_out() & ~judge.repeated)
    if spec.validation_fraction == 0:
        return Division(np.zeros(len(ledger), np.bool_))
    free = judge.may_be_held_out()
    share = _share_of(free, judge.kept, spec.validation_fraction)
    division = divide(*judge.clusters_and_strata(free), share)
    if division.single_cluster and problems.errors == 0:
        message = "all examples are one group, so nothing is held out and no evaluation can follow"
        hint = f"give the rows different questions, or different values of {spec.group_field!r}"
        problems.add(None, Flaw("", ProblemCode.SINGLE_GROUP, message, hint))
    held_out = np.zeros(len(ledger), np.bool_)
    held_out[free] = division.held_out
    return Division(held_out, division.forced)


def _share_of(free: NDArray[np.bool_], kept: NDArray[np.bool_], fraction: float) -> float:
    """Of the rows that may be held out, so that it is the share of all that was asked for, as long as there are enough."""
    some = int(np.count_nonzero(free))
    return min(fraction * int(np.count_nonzero(kept)) / some, (1 + fraction) / 2) if some else fraction
