"""An evaluation from top to bottom: choose the items, ask every arm, mark the answers, compare, judge, write it down."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fragua_evaluator.domain.arm import LocalModel
from fragua_evaluator.domain.evaluation_spec import EvaluationSpec
from fragua_evaluator.domain.gate import judge
from fragua_evaluator.domain.gate_policy import GatePolicy
from fragua_evaluator.domain.report import MOST_ITEMS_NAMED, EvaluationReport, ItemRecord
from fragua_evaluator.scoring.documents import write_documents
from fragua_evaluator.scoring.error_analysis import analyse_errors
from fragua_evaluator.scoring.fairness import fairness
from fragua_evaluator.scoring.interview import Interview, Materials
from fragua_evaluator.scoring.items import Questionnaire, load_questionnaire
from fragua_evaluator.scoring.journal import Journal
from fragua_evaluator.scoring.marking import mark, open_markers
from fragua_evaluator.scoring.metrics import refuse_unfit
from fragua_evaluator.scoring.response_cache import ResponseCache
from fragua_evaluator.scoring.summary import Graded, Tallies, compare, summarise_arm, tally
from fragua_platform.jobs.engine import Interrupted, JobDirectory, Reporter

if TYPE_CHECKING:
    from fragua_evaluator.scoring.targets.local.loaded import LoadedModels

REPORT_FILE: Final = "report.json"
ITEMS_FILE: Final = "items.jsonl"
_TELL_SECONDS: Final = 0.5
_LIBRARIES = ("fragua-evaluator", "torch", "transformers", "peft", "tokenizers", "scipy", "llama-cpp-python")


def evaluate(spec: EvaluationSpec, job: JobDirectory, reporter: Reporter, threads: int) -> None:
    began = time.monotonic()
    (job.outputs / REPORT_FILE).unlink(missing_ok=True)  # of an earlier run by hand in this folder
    questionnaires = [load_questionnaire(suite, job.inputs, spec.seed) for suite in spec.suites]
    for questionnaire in questionnaires:
        refuse_unfit(questionnaire.suite, questionnaire.items)
    journal = Journal(_fingerprint(spec, questionnaires))
    if job.resume_from is not None:
        journal.restore(job.resume_from)
    with (
        _loaded_models(spec, threads) as loaded,
        # Where speed or memory is judged, every answer has to be given anew.
        closing(ResponseCache.open("" if spec.judges_cost else spec.response_cache, spec.response_cache_mib)) as cache,
    ):
        interview = Interview(spec, questionnaires, Materials(job, journal, cache, loaded, reporter))
        interview.prepare()
        interview.ask()
    graded = _mark(spec, questionnaires, journal, job.outputs / ITEMS_FILE, reporter)

    def records() -> Iterator[ItemRecord]:
        return _records(job.outputs / ITEMS_FILE)

    report = _report(spec, questionnaires, tally(spec, records()), graded, journal)
    if spec.policy is not None:
        report = _judged(report, spec.policy, records)
    report = report.model_copy(update={"duration_seconds": round(time.monotonic() - began, 3)})
    write_documents(job.outputs, report, records, job.inputs)
    # The report goes last: readers take its presence as proof of completeness.
    _write(job.outputs / REPORT_FILE, report.model_dump_json(indent=1) + "\n")


@contextmanager
def _loaded_models(spec: EvaluationSpec, threads: int) -> Iterator[LoadedModels | None]:
    if not any(isinstance(arm.target, LocalModel) for arm in spec.arms):
        yield None
        return
    # Imported late: with torch it takes half a gigabyte, which arms that answer elsewhere do not need.
    from fragua_evaluator.scoring.targets.local.loaded import LoadedModels

    with closing(LoadedModels(threads)) as loaded:
        yield loaded


def _mark(
    spec: EvaluationSpec, questionnaires: Sequence[Questionnaire], journal: Journal, path: Path, reporter: Reporter
) -> Graded:
    """Write `items.jsonl`, and tell which metrics there are."""
    arms = [arm.name for arm in spec.arms]
    total, done, told = sum(len(questionnaire.items) for questionnaire in questionnaires), 0, 0.0
    partial = path.with_name(f".{path.name}.partial")
    with open_markers(spec) as markers, partial.open("w", encoding="utf-8") as lines:
        for questionnaire in questionnaires:
            suite = questionnaire.suite
            for record in mark(questionnaire, markers[suite.name], arms, spec.repeats_of(suite), journal):
                lines.write(record.model_dump_json() + "\n")
                done += 1
                if done == total or time.monotonic() - told >= _TELL_SECONDS:
                    told = time.monotonic()
                    reporter.progress("scoring", done, total, suite.name)
                if reporter.stop_requested:
                    raise Interrupted
        graded = {name: {metric: marker.graded[metric] for metric in marker.names} for name, marker in markers.items()}
    partial.replace(path)
    return graded


def _report(
    spec: EvaluationSpec, questionnaires: Sequence[Questionnaire], tallies: Tallies, graded: Graded, journal: Journal
) -> EvaluationReport:
    arms = tuple(summarise_arm(arm.name, spec, tallies, graded, journal) for arm in spec.arms)
    return EvaluationReport(
        arms=arms,
        comparisons=compare(spec, tallies, graded),
        fairness=fairness(spec, questionnaires, {arm.arm: arm.conditions for arm in arms}),
        verdict=None,
        error_analysis=None,
        # Where this worker keeps answers is its own affair, and whoever runs it again wants new ones.
        spec=spec.model_dump(mode="json", exclude={"response_cache", "response_cache_mib"}),
        provenance=spec.provenance,
        versions={"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES},
        duration_seconds=0.0,
        items=_named_items(questionnaires),
    )


def _named_items(questionnaires: Sequence[Questionnaire]) -> dict[str, tuple[str, ...]]:
    if sum(len(questionnaire.items) for questionnaire in questionnaires) > MOST_ITEMS_NAMED:
        return {}
    return {asked.suite.name: tuple(item.id for item in asked.items) for asked in questionnaires}


def _judged(
    report: EvaluationReport, policy: GatePolicy, records: Callable[[], Iterator[ItemRecord]]
) -> EvaluationReport:
    report = report.model_copy(update={"verdict": judge(policy, report)})
    return report.model_copy(update={"error_analysis": analyse_errors(report, list(records()), policy)})


def _records(path: Path) -> Iterator[ItemRecord]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield ItemRecord.model_validate_json(line)


def _fingerprint(spec: EvaluationSpec, questionnaires: Sequence[Questionnaire]) -> dict[str, str]:
    """What decides which questions are asked and how they are answered."""
    arms = [arm.model_dump(mode="json") for arm in spec.arms]
    suites = [
        questionnaire.suite.model_dump(mode="json", exclude={"metrics", "description", "cases"})
        for questionnaire in questionnaires
    ]
    return {
        "arms": _digest(arms),
        "suites": _digest(suites),
        "items": _digest([[item.id for item in questionnaire.items] for questionnaire in questionnaires]),
        "data": _digest([questionnaire.sha256 for questionnaire in questionnaires]),
        "decoding": _digest([spec.decoding.model_dump(mode="json"), spec.repeats]),
    }


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, "utf-8")
    partial.replace(path)
