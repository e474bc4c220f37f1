"""Generates examples from seed concepts, then makes a version of those that are good enough, as of any import."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

from fragua_dataset.domain.synthesis_spec import SynthesisJobSpec, SynthesisReport, parse_synthesis_job_spec
from fragua_dataset.ingestion.ingest import Watch, make_version
from fragua_dataset.ingestion.writing import write_json
from fragua_dataset.synthesis.generation import Generation, report_of
from fragua_dataset.synthesis.generators.adapter import LocalAdapter
from fragua_dataset.synthesis.generators.endpoint import Wait
from fragua_dataset.synthesis.generators.gguf import LocalGguf
from fragua_dataset.synthesis.generators.ollama import OllamaChat
from fragua_dataset.synthesis.generators.openai import ChatCompletions
from fragua_dataset.synthesis.generators.port import Generator
from fragua_dataset.synthesis.journal import Entry, Journal
from fragua_dataset.synthesis.metrics import Metric, open_metric
from fragua_platform.errors import FraguaError, InvalidInput
from fragua_platform.jobs.engine import Interrupted, JobDirectory, Reporter

_SECONDS_BETWEEN_GLANCES: Final = 0.1


def synthesize(job: JobDirectory, reporter: Reporter) -> None:
    spec = parse_synthesis_job_spec(job.read_spec())
    score = open_metric(spec.synthesis.metric, spec.version.profile)
    with closing(Journal(job, reporter)) as journal:
        try:
            _generate(spec, score, journal, job, reporter)
            _make_version(spec, journal.entries, job, reporter)
        except FraguaError:
            # Whatever failed, these were paid for: the service keeps them with what explains the failure.
            if any(entry.row for entry in journal.entries):
                _write_rows(journal.entries, job.outputs / "generated.jsonl")
            raise


def _generate(spec: SynthesisJobSpec, score: Metric, journal: Journal, job: JobDirectory, reporter: Reporter) -> None:
    with closing(_open_generator(spec, job.inputs, _waiting(reporter))) as generator:
        try:
            stopped_by = Generation(spec, generator, score, journal, reporter).run()
        finally:
            journal.save()
    report = report_of(spec, journal, stopped_by)
    write_json(report, job.outputs / "synthesis.json")
    if not report.kept:
        raise InvalidInput(_nothing_kept(report), reason="NOTHING_GENERATED")


def _make_version(spec: SynthesisJobSpec, entries: Sequence[Entry], job: JobDirectory, reporter: Reporter) -> None:
    _write_rows(entries, job.inputs / "source")
    watch = Watch(partial(reporter.progress, "importing"), lambda: reporter.stop_requested)
    report, problems = make_version(spec.version, job.inputs, job.outputs, watch)
    write_json(report, job.outputs / "report.json")
    watch.finish()
    if not report.valid:
        raise problems.as_error(report.rows)


def _write_rows(entries: Sequence[Entry], path: Path) -> None:
    """In the order of the requests, so that the same answers make the same file."""
    rows = [entry.row for entry in sorted(entries, key=lambda entry: entry.number) if entry.row]
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _open_generator(spec: SynthesisJobSpec, inputs: Path, wait: Wait) -> Generator:
    generator = spec.synthesis.generator
    match generator.kind:
        case "openai":
            return ChatCompletions(generator, _take_key(inputs), wait)
        case "ollama":
            return OllamaChat(generator, _take_key(inputs), wait)
        case "gguf":
            return LocalGguf(generator, inputs / "model")
        case "adapter":
            return LocalAdapter(generator, inputs / "base", inputs / "adapter")


def _take_key(inputs: Path) -> str:
    """`inputs/key`, which is there no more once it is read; no key where there is none."""
    path = inputs / "key"
    try:
        key = path.read_text("utf-8").strip()
    except FileNotFoundError:
        return ""
    path.unlink()
    return key


def _waiting(reporter: Reporter) -> Wait:
    def wait(seconds: float) -> None:
        ends = time.monotonic() + seconds
        while not reporter.stop_requested:
            if (left := ends - time.monotonic()) <= 0:
                return
            time.sleep(min(left, _SECONDS_BETWEEN_GLANCES))
        raise Interrupted

    return wait


def _nothing_kept(report: SynthesisReport) -> str:
    lost = {
        "not answered": sum(report.unanswered.values()),
        "not parsable": sum(report.unparsable.values()),
        "not scored": report.unscored,
        f"below the score of {report.min_score:g}": report.below_score,
        "against the profile": sum(report.left_out.values()),
    }
    told = ", ".join(f"{count} {what}" for what, count in lost.items() if count)
    return f"of {report.asked} requests none gave an example to keep: {told}; ask a stronger model, or for less"
