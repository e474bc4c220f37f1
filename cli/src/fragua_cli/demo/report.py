"""What the demo made and how good it is: a table for people, `report.json` for programs, one verdict for both."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape

from fragua.evaluator.v1 import evaluator_pb2, result_pb2
from fragua.exporter.v1 import exporter_pb2
from fragua_cli.demo import recipe
from fragua_cli.output import Output
from fragua_cli.scores import outcome_name, show_scores

Report = dict[str, Any]


@dataclass(frozen=True)
class Forged:
    """Everything that the demo's steps left behind."""

    base_model: str
    dataset_version: str
    training_job: str
    evaluation: evaluator_pb2.Evaluation
    export: exporter_pb2.Export
    files: dict[str, Path]
    """Downloaded files of the export, by name."""
    question: str
    expected: str
    step_seconds: dict[str, float]

    @property
    def gguf(self) -> exporter_pb2.ExportFile:
        """The file that the Modelfile names."""
        return self.export.files[0]

    def path_of(self, file: exporter_pb2.ExportFile) -> Path:
        return self.files[file.artifact.key.rpartition("/")[2]]


def is_clearly_better(evaluation: evaluator_pb2.Evaluation) -> bool:
    comparison = evaluation.result.comparisons[0]
    return comparison.difference > 0 and comparison.p_value < recipe.SIGNIFICANCE


def write_report(forged: Forged, path: Path, *, seconds: float) -> Report:
    report = _report(forged, seconds)
    # In one move, so that whoever waits for the file never reads half of it.
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps(report, ensure_ascii=False, indent=2) + "\n", "utf-8")
    unfinished.replace(path)
    return report


def show(output: Output, forged: Forged, report: Report, path: Path) -> None:
    output.say("")
    show_scores(output, forged.evaluation)
    output.say("")
    digests = {forged.path_of(file): file.artifact.sha256 for file in forged.export.files}
    digests[forged.files["Modelfile"]] = report["export"]["modelfile"]["sha256"]
    output.table({"FILE": [*map(str, digests)], "SHA-256": [*digests.values()]})
    output.say("")
    output.say(f"question   {escape(forged.question)}")
    output.say(f"expected   {escape(forged.expected)}")
    output.say(f"the GGUF   [bold green]{escape(report['export']['answer'])}[/bold green]")
    output.say("")
    output.say(
        f"[dim]report in {escape(str(path))}, {report['seconds']:.0f} s in all; with Ollama: "
        f"`cd {escape(str(path.parent))} && ollama create {recipe.BRANCH} -f Modelfile`[/dim]"
    )


def _report(forged: Forged, seconds: float) -> Report:
    evaluation, paired = forged.evaluation, forged.evaluation.result.comparisons[0]
    base, tuned = evaluation.result.arms
    digests = {artifact.key.rpartition("/")[2]: artifact.sha256 for artifact in forged.export.bundle.files}
    return {
        "base": _arm(base),
        "tuned": _arm(tuned),
        "paired": {
            "improved": paired.improved,
            "worsened": paired.worsened,
            "tied": paired.tied,
            "p_value": paired.p_value,
            "test": paired.test,
        },
        "metric": paired.metric,
        "verdict": outcome_name(evaluation.result.verdict.outcome),
        "export": {
            **_file(forged, forged.gguf),
            "answer": forged.gguf.verification.answer,
            "question": forged.question,
            "expected": forged.expected,
            "name": forged.export.name,
            "modelfile": {"path": str(forged.files["Modelfile"].resolve()), "sha256": digests["Modelfile"]},
            "files": [_file(forged, file) for file in forged.export.files],
        },
        "adapter": evaluation.adapter,
        "evaluation": evaluation.name,
        "training_job": forged.training_job,
        "dataset_version": forged.dataset_version,
        "base_model": forged.base_model,
        "steps": forged.step_seconds,
        "seconds": round(seconds, 2),
    }


def _arm(arm: result_pb2.ArmResult) -> dict[str, float]:
    [suite] = arm.suites
    metric = suite.metrics[0]
    return {
        "score": metric.score,
        "score_low": metric.score_low,
        "score_high": metric.score_high,
        "items": suite.item_count,
        "tokens_per_second": arm.tokens_per_second,
        "stopped_rate": suite.checks["ended"],
    }


def _file(forged: Forged, file: exporter_pb2.ExportFile) -> dict[str, Any]:
    return {
        "path": str(forged.path_of(file).resolve()),
        "size_bytes": file.artifact.size_bytes,
        "sha256": file.artifact.sha256,
        "quantization": exporter_pb2.Quantization.Name(file.quantization).removeprefix("QUANTIZATION_").lower(),
        "top1_agreement": file.verification.top1_agreement,
        "answer": file.verification.answer,
    }
