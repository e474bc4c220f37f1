"""The demo's own promises; the chain itself is run in tests/e2e."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path

import pytest

from fragua.common.v1 import artifact_pb2
from fragua.evaluator.v1 import evaluator_pb2, result_pb2
from fragua.exporter.v1 import exporter_pb2
from fragua_cli.demo import recipe
from fragua_cli.demo.embedded import embedded_suite
from fragua_cli.demo.report import Forged, is_clearly_better, write_report
from fragua_dataset.ingestion.ingest import ingest
from fragua_platform.errors import FailedPrecondition, InvalidInput
from fragua_platform.jobs.engine import JobDirectory, Reporter


def evaluation(base: float, tuned: float, p_value: float) -> evaluator_pb2.Evaluation:
    return evaluator_pb2.Evaluation(
        name="branches/tutor/evaluations/e1",
        adapter="branches/tutor/adapters/1",
        result=result_pb2.EvaluationResult(
            arms=[arm("base", base), arm("tuned", tuned)],
            comparisons=[
                result_pb2.Comparison(
                    metric="exact_match", difference=tuned - base, p_value=p_value, test="exact McNemar"
                )
            ],
        ),
    )


def arm(name: str, score: float) -> result_pb2.ArmResult:
    metric = result_pb2.MetricResult(metric="exact_match", score=score)
    suite = result_pb2.SuiteResult(suite="validation", item_count=150, metrics=[metric], checks={"ended": 1.0})
    return result_pb2.ArmResult(arm=name, suites=[suite])


@pytest.mark.parametrize(
    ("base", "tuned", "p_value", "better"),
    [(0.0, 0.97, 1e-40, True), (0.5, 0.52, 0.4, False), (0.97, 0.1, 1e-20, False), (0.0, 0.0, 1.0, False)],
)
def test_only_a_significant_gain_is_clearly_better(base: float, tuned: float, p_value: float, better: bool) -> None:
    assert is_clearly_better(evaluation(base, tuned, p_value)) is better


def test_the_report_holds_scores_file_and_answer(tmp_path: Path) -> None:
    gguf = exporter_pb2.ExportFile(
        artifact=artifact_pb2.Artifact(key="models/gguf/tutor/x1/tutor-1-f16.gguf", size_bytes=9, sha256="ab"),
        quantization=exporter_pb2.QUANTIZATION_F16,
        verification=exporter_pb2.Verification(answer="respuesta es ñandúes."),
    )
    modelfile = artifact_pb2.Artifact(key="models/gguf/tutor/x1/Modelfile", sha256="cd")
    forged = Forged(
        base_model="baseModels/tiny-base/revisions/aa",
        dataset_version="branches/tutor/datasets/facts/versions/v1",
        training_job="branches/tutor/trainingJobs/j1",
        evaluation=evaluation(0.0, 0.97, 1e-40),
        export=exporter_pb2.Export(files=[gguf], bundle=artifact_pb2.Bundle(files=[gguf.artifact, modelfile])),
        files={"tutor-1-f16.gguf": tmp_path / "tutor-1-f16.gguf", "Modelfile": tmp_path / "Modelfile"},
        question=recipe.PROBE,
        expected="respuesta es ñandúes.",
        step_seconds={"Fine-tune": 30.0},
    )
    write_report(forged, tmp_path / "report.json", seconds=61.2)
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert report["base"]["score"] == 0.0
    assert report["tuned"]["score"] == 0.97
    assert report["export"]["path"] == str(tmp_path / "tutor-1-f16.gguf")
    assert report["export"]["sha256"] == "ab"
    assert report["export"]["answer"] == "respuesta es ñandúes."
    assert report["seconds"] == 61.2


def test_the_model_never_learns_from_the_question_that_the_finished_file_is_asked(tmp_path: Path) -> None:
    job = JobDirectory(tmp_path)
    job.inputs.mkdir()
    job.outputs.mkdir()
    (job.inputs / "source").write_bytes(recipe.find_examples(None).instructions.read_bytes())
    spec = {"validation_fraction": recipe.VALIDATION_FRACTION, "split_seed": recipe.SPLIT_SEED}
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    ingest(job, Reporter(io.StringIO()))
    assert recipe.PROBE in (job.outputs / "validation.jsonl").read_text("utf-8")
    assert "Deduña" not in (job.outputs / "train.jsonl").read_text("utf-8")


def test_the_bundled_examples_are_found_in_the_checkout() -> None:
    examples = recipe.find_examples(None)
    assert examples.answer_to(recipe.PROBE).startswith("tema es animales, lugar es Deduña")


def test_missing_examples_are_told_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="--examples"):
        recipe.find_examples(tmp_path)


async def test_a_suite_that_cannot_start_ends_the_demo_with_the_end_of_its_log(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the data directory should be")
    with pytest.raises(FailedPrecondition, match="ends with"):
        async with embedded_suite(tmp_path / "data", tmp_path / "demo" / "up.log", notice=print):
            await asyncio.sleep(60)
