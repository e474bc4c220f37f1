"""The demo from its first step to its verdict."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import typer

from fragua.dataset.v1 import dataset_pb2
from fragua.dataset.v1 import dataset_service_pb2 as dataset_calls
from fragua.evaluator.v1 import evaluator_pb2
from fragua.evaluator.v1 import evaluator_service_pb2 as evaluator_calls
from fragua.exporter.v1 import exporter_pb2
from fragua.exporter.v1 import exporter_service_pb2 as exporter_calls
from fragua.trainer.v1 import trainer_pb2
from fragua.trainer.v1 import trainer_service_pb2 as trainer_calls
from fragua_cli.demo import recipe
from fragua_cli.demo.embedded import embedded_suite
from fragua_cli.demo.report import Forged, is_clearly_better, show, write_report
from fragua_cli.endpoints import DEFAULT_HOST, find_endpoints, names_a_suite
from fragua_cli.exits import ExitCode
from fragua_cli.health import wait_until_serving
from fragua_cli.jobs import dataset_versions, evaluations, exports, training_jobs
from fragua_cli.options import request_id
from fragua_cli.outcomes import follow_to_success, seconds_taken
from fragua_cli.output import Output, size_of
from fragua_cli.preferences import Preferences
from fragua_cli.session import Session, run_to_exit_code
from fragua_cli.suite import Suite
from fragua_cli.tls import find_tls
from fragua_cli.transfers import download_export_file, name_in, upload_base_model, upload_dataset
from fragua_platform.errors import AlreadyExists

_PATIENCE_SECONDS: Final = 180.0
"""The demo goes on through the restart of any service, a slow one too."""
_START_SECONDS: Final = 90.0


def run_demo(preferences: Preferences, data_dir: Path, examples_folder: Path | None) -> None:
    """Forge, report, and leave with an exit code: 0 only if the tuned model is clearly better."""
    answer = Output(as_json=preferences.as_json)
    # With --json the report is the one document on stdout; the progress for people moves to stderr.
    progress = Output(on_stderr=preferences.as_json)
    run_to_exit_code(answer, _demo(preferences, data_dir, examples_folder, progress, answer))


async def _demo(
    preferences: Preferences, data_dir: Path, examples_folder: Path | None, progress: Output, answer: Output
) -> None:
    began = time.monotonic()
    examples = recipe.find_examples(examples_folder)
    folder = data_dir / "demo"
    async with AsyncExitStack() as stack:
        if names_a_suite(preferences.endpoint):
            endpoints, tls = find_endpoints(preferences.endpoint), find_tls()
        else:
            suite_here = embedded_suite(data_dir, folder / "up.log", progress.notice)
            port = await stack.enter_async_context(suite_here)
            endpoints, tls = find_endpoints(f"{DEFAULT_HOST}:{port}", environment={}), None
        patience = _PATIENCE_SECONDS if preferences.patience is None else preferences.patience
        suite = await stack.enter_async_context(Suite(endpoints, tls=tls, patience=patience, notice=progress.notice))
        forged = await _forge(Session(suite, progress), examples, folder)
    report = write_report(forged, folder / "report.json", seconds=time.monotonic() - began)
    show(progress, forged, report, folder / "report.json")
    if answer.as_json:
        answer.document(report)
    if not is_clearly_better(forged.evaluation):
        progress.say("[bold red]The tuned model is not clearly better than its base.[/bold red]")
        raise typer.Exit(ExitCode.FAILED)


async def _forge(session: Session, examples: recipe.Examples, folder: Path) -> Forged:
    steps = _Steps(session.output, 8)
    steps.begin("Check that the four services are ready")
    await wait_until_serving(session.suite, _START_SECONDS)
    steps.begin(f"Create the branch {recipe.BRANCH}")
    await _create_branch(session)
    steps.begin("Import the base model")
    base = await upload_base_model(session.suite, session.output, examples.base_model, recipe.BASE_MODEL)
    steps.tell(f"{base.name}, {size_of(sum(file.size_bytes for file in base.bundle.files))}")
    steps.begin("Import and check the dataset")
    version = await _import_dataset(session, examples)
    steps.tell(f"{version.train_row_count:,} questions to learn from, {version.validation_row_count:,} held out")
    steps.begin("Fine-tune")
    job = await _train(session, version.name, base.name)
    steps.tell(f"{job.adapter} {seconds_taken(job.status)}")
    steps.begin("Let base and tuned model answer held-out questions")
    evaluation = await _evaluate(session, job.adapter)
    compared = evaluation.result.comparisons[0]
    steps.tell(f"{compared.baseline_score:.1%} → {compared.arm_score:.1%} {seconds_taken(evaluation.status)}")
    steps.begin("Export as GGUF, and ask the file itself")
    export = await _export(session, job.adapter)
    steps.tell(f"{len(export.files)} files, verified in llama.cpp {seconds_taken(export.status)}")
    steps.begin("Download")
    files = {
        name: await download_export_file(session.suite, session.output, export.name, name, artifact, folder)
        for artifact in export.bundle.files
        for name in [name_in(export.bundle, artifact)]
    }
    return Forged(
        base_model=base.name,
        dataset_version=version.name,
        training_job=job.name,
        evaluation=evaluation,
        export=export,
        files=files,
        question=recipe.PROBE,
        expected=examples.answer_to(recipe.PROBE),
        step_seconds=steps.finish(),
    )


async def _create_branch(session: Session) -> None:
    try:
        request = dataset_calls.CreateBranchRequest(branch_id=recipe.BRANCH)
        await session.suite.call(session.suite.dataset.CreateBranch, request)
    except AlreadyExists:  # somebody gave it another display name; its line of adapters goes on
        return


async def _import_dataset(session: Session, examples: recipe.Examples) -> dataset_pb2.DatasetVersion:
    header = dataset_calls.ImportDatasetHeader(
        parent=f"branches/{recipe.BRANCH}/datasets/{recipe.DATASET}",
        request_id=request_id(),
        options=dataset_pb2.ImportOptions(validation_fraction=recipe.VALIDATION_FRACTION, split_seed=recipe.SPLIT_SEED),
    )
    version = await upload_dataset(session.suite, session.output, examples.instructions, header)
    return await follow_to_success(session, dataset_versions(session.suite), version.name, label="checking rows")


async def _train(session: Session, dataset_version: str, base_model: str) -> trainer_pb2.TrainingJob:
    request = trainer_calls.CreateTrainingJobRequest(
        parent=f"branches/{recipe.BRANCH}",
        request_id=request_id(),
        training_job=recipe.training_job(dataset_version, base_model),
    )
    job = await session.suite.call(session.suite.trainer.CreateTrainingJob, request)
    return await follow_to_success(session, training_jobs(session.suite), job.name, label="training")


async def _evaluate(session: Session, adapter: str) -> evaluator_pb2.Evaluation:
    request = evaluator_calls.CreateEvaluationRequest(
        parent=f"branches/{recipe.BRANCH}",
        request_id=request_id(),
        evaluation=recipe.evaluation(adapter),
    )
    evaluation = await session.suite.call(session.suite.evaluator.CreateEvaluation, request)
    return await follow_to_success(session, evaluations(session.suite), evaluation.name, label="evaluating")


async def _export(session: Session, adapter: str) -> exporter_pb2.Export:
    request = exporter_calls.CreateExportRequest(
        parent=f"branches/{recipe.BRANCH}",
        request_id=request_id(),
        export=exporter_pb2.Export(adapter=adapter, quantizations=recipe.QUANTIZATIONS, probe_prompt=recipe.PROBE),
    )
    export = await session.suite.call(session.suite.exporter.CreateExport, request)
    return await follow_to_success(session, exports(session.suite), export.name, label="exporting")


class _Steps:
    """Numbers the steps for people, and times them for the report."""

    def __init__(self, output: Output, count: int) -> None:
        self._output = output
        self._count = count
        self._began: dict[str, float] = {}

    def begin(self, title: str) -> None:
        self._began[title] = time.monotonic()
        self._output.say(f"[bold cyan]{len(self._began)}/{self._count}[/bold cyan] {title}")

    def tell(self, finding: str) -> None:
        self._output.say(f"    [green]{finding}[/green]")

    def finish(self) -> dict[str, float]:
        ends = [*list(self._began.values())[1:], time.monotonic()]
        return {title: round(end - began, 2) for (title, began), end in zip(self._began.items(), ends, strict=True)}
