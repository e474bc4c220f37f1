"""`fragua train`: fine-tuning runs, from a dataset version and a base model to an adapter."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.markup import escape

from fragua.trainer.v1 import trainer_pb2
from fragua.trainer.v1 import trainer_service_pb2 as calls
from fragua_cli.commands import train_logs, train_plan
from fragua_cli.commands.job_verbs import NameArgument, add_job_verbs, first
from fragua_cli.commands.train_plan import BaseOption, DatasetOption
from fragua_cli.jobs import training_jobs
from fragua_cli.names import base_model_name, branch_name, dataset_version_name, resource_name
from fragua_cli.options import (
    BranchOption,
    LimitOption,
    RequestIdOption,
    ValidateOnlyOption,
    WatchOption,
    request_id,
)
from fragua_cli.outcomes import follow_to_success, seconds_taken
from fragua_cli.session import Session, client_command
from fragua_cli.suite import all_pages
from fragua_cli.training_specs import PresetOption, SetOption, SpecOption, spec_yaml

app = typer.Typer()
for commands in (train_plan, train_logs):
    app.add_typer(commands.app)


class Scheduler(StrEnum):
    COSINE = "cosine"
    LINEAR = "linear"
    CONSTANT = "constant"


class Precision(StrEnum):
    FP32 = "fp32"
    BF16 = "bf16"


class Quantization(StrEnum):
    AUTO = "auto"
    BNB4 = "bnb4"
    INT8 = "int8"
    BF16 = "bf16"
    FP32 = "fp32"


def _optional(*names: str, help: str) -> Any:  # noqa: A002  # typer's own word
    """An option that is sent only when given: the service knows the defaults, and documents them."""
    return typer.Option(*names, help=help, show_default=False)


@client_command(app, "start")
async def start(
    session: Session,
    dataset: DatasetOption,
    base: BaseOption,
    branch: BranchOption = "",
    preset: PresetOption = "",
    spec: SpecOption = None,
    assignments: SetOption = None,
    rank: Annotated[int | None, _optional("--rank", "--lora-r", help="Rank of the LoRA matrices [16].")] = None,
    alpha: Annotated[
        float | None, _optional("--alpha", "--lora-alpha", help="The update is scaled by alpha / rank [32].")
    ] = None,
    dropout: Annotated[
        float | None, _optional("--dropout", "--lora-dropout", help="Dropout before the LoRA matrices [0.05].")
    ] = None,
    target: Annotated[
        list[str] | None, _optional(help="A linear module to train; repeat it. All but the head.")
    ] = None,
    epochs: Annotated[
        float | None, _optional("--epochs", "--num-epochs", help="Passes over the training rows [3].")
    ] = None,
    max_steps: Annotated[int | None, _optional(help="Optimizer steps; wins over --epochs. -1 is off.")] = None,
    batch_size: Annotated[int | None, _optional(help="Rows per micro-batch [4].")] = None,
    grad_accum: Annotated[int | None, _optional(help="Micro-batches per optimizer step [1].")] = None,
    learning_rate: Annotated[
        float | None, _optional("--learning-rate", "--lr", help="The highest one, after warm-up [2e-4].")
    ] = None,
    warmup_steps: Annotated[int | None, _optional(help="Steps of warm-up [10].")] = None,
    weight_decay: Annotated[float | None, _optional(help="Of AdamW [0].")] = None,
    scheduler: Annotated[Scheduler | None, _optional(help="The course of the learning rate [cosine].")] = None,
    max_length: Annotated[int | None, _optional(help="Tokens per row; longer rows are refused [2048].")] = None,
    seed: Annotated[int | None, _optional(help="Of everything that is drawn [42].")] = None,
    save_steps: Annotated[int | None, _optional(help="Steps between checkpoints [50]; 0 is after each epoch.")] = None,
    eval_steps: Annotated[
        int | None, _optional(help="Steps between validation losses [50]; 0 is after each epoch.")
    ] = None,
    train_limit: Annotated[int | None, _optional(help="Only the first so many training rows. -1 is off.")] = None,
    val_limit: Annotated[int | None, _optional(help="Only the first so many held-out rows. -1 is off.")] = None,
    quantization: Annotated[
        Quantization | None, _optional(help="Of the frozen base [auto]; bnb4 and int8 need bitsandbytes.")
    ] = None,
    warm_start: Annotated[
        str, _optional(help="The adapter to train on from: its number, or its full resource name.")
    ] = "",
    precision: Annotated[Precision | None, _optional(help="Number format of the frozen base [as fits].")] = None,
    evaluate_after: Annotated[bool, typer.Option("--evaluate-after", help="Evaluate the adapter right away.")] = False,
    priority: Annotated[int, typer.Option(help="Of waiting jobs the greatest starts first.", min=-100, max=100)] = 0,
    validate_only: ValidateOnlyOption = False,
    watch: WatchOption = True,
    given_request_id: RequestIdOption = "",
) -> None:
    """Train a LoRA adapter. What is left out takes the value of the preset, or the default in brackets."""
    suite = session.suite
    version = await dataset_version_name(suite, dataset, branch, ready=True)
    parent = await branch_name(suite, branch, implied_by=version)
    # By way of the YAML, where auto and no limit can be said over a preset that says otherwise.
    named = {
        "limits.train_rows": None if train_limit is None else max(train_limit, 0),
        "limits.validation_rows": None if val_limit is None else max(val_limit, 0),
        "quantization": quantization and quantization.value,
        "schedule.max_steps": 0 if max_steps is not None and max_steps <= 0 else None,
    }
    assignments = [*(assignments or ()), *(f"{key}={value}" for key, value in named.items() if value is not None)]
    request = calls.CreateTrainingJobRequest(
        parent=parent,
        request_id=request_id(given_request_id),
        validate_only=validate_only,
        training_job=trainer_pb2.TrainingJob(
            dataset_version=version,
            base_model=await base_model_name(suite, base),
            preset=preset,
            spec_yaml=spec_yaml(spec, assignments),
            lora=trainer_pb2.LoraSpec(rank=rank, alpha=alpha, dropout=dropout, target_modules=target or ()),
            schedule=trainer_pb2.Schedule(
                epochs=epochs,
                max_steps=max(max_steps or 0, 0),
                batch_size=batch_size,
                gradient_accumulation=grad_accum,
                learning_rate=learning_rate,
                warmup_steps=warmup_steps,
                weight_decay=weight_decay,
                scheduler=f"SCHEDULER_{scheduler.name}" if scheduler else None,
                max_length=max_length,
                seed=seed,
                save_steps=save_steps,
                eval_steps=eval_steps,
            ),
            precision=f"PRECISION_{precision.name}" if precision else None,
            warm_start=await resource_name(suite, "adapters", warm_start, parent) if warm_start else "",
            evaluate_after=evaluate_after,
            priority=priority,
        ),
    )
    job = await suite.call(suite.trainer.CreateTrainingJob, request)
    await _follow(session, job, watch=watch and not validate_only)


@client_command(app, "rerun")
async def rerun(
    session: Session,
    name: NameArgument,
    branch: BranchOption = "",
    dataset: Annotated[
        str,
        _optional("--dataset", "-d", help="Train on DATASET's newest READY version, or on DATASET/VERSION, instead."),
    ] = "",
    watch: WatchOption = True,
    given_request_id: RequestIdOption = "",
) -> None:
    """Train again with the specification of a former job, on the same data or on newer."""
    suite = session.suite
    former = await resource_name(suite, "trainingJobs", name, branch)
    of_branch = await branch_name(suite, branch, implied_by=former)
    request = calls.RerunTrainingJobRequest(
        name=former,
        request_id=request_id(given_request_id),
        dataset_version=await dataset_version_name(suite, dataset, of_branch, ready=True) if dataset else "",
    )
    await _follow(session, await suite.call(suite.trainer.RerunTrainingJob, request), watch=watch)


@client_command(app, "metrics")
async def metrics(session: Session, name: NameArgument, branch: BranchOption = "", limit: LimitOption = 1000) -> None:
    """List what a run measured, step by step."""
    suite = session.suite
    parent = await resource_name(suite, "trainingJobs", name, branch)
    pages = all_pages(
        lambda token: suite.call(
            suite.trainer.ListTrainingMetrics, calls.ListTrainingMetricsRequest(parent=parent, page_token=token)
        ),
        "metrics",
    )
    found, more = await first(pages, limit)
    columns = {
        "ATTEMPT": [str(metric.attempt) for metric in found],
        "STEP": [str(metric.step) for metric in found],
        "METRIC": [metric.name for metric in found],
        "VALUE": [f"{metric.value:.6g}" for metric in found],
    }
    session.output.listing(found, columns, nothing="nothing measured yet", more=more)


async def _follow(session: Session, job: trainer_pb2.TrainingJob, *, watch: bool) -> None:
    if not watch:
        session.output.document(job)
        return
    session.output.say(f"{job.name} makes {job.adapter}")
    await _conclude(session, await follow_to_success(session, training_jobs(session.suite), job.name))


async def _conclude(session: Session, job: trainer_pb2.TrainingJob) -> None:
    if session.output.as_json:
        return
    suite = session.suite
    adapter = await suite.call(suite.trainer.GetAdapter, calls.GetAdapterRequest(name=job.adapter))
    # Nothing held out, nothing measured; a mean loss is never 0.
    held_out = f", validation loss {adapter.validation_loss:.3g}" if adapter.validation_loss else ""
    session.output.say(
        f"{job.name} [green]succeeded[/green] {seconds_taken(job.status)}: {adapter.name} with "
        f"{adapter.trainable_parameters:,} trained parameters, loss {adapter.final_loss:.3g}{held_out}"
    )
    for notice in job.notices:
        session.output.say(f"[yellow]{escape(notice)}[/yellow]")
    if job.evaluate_after:
        session.output.say("its evaluation begins by itself: `fragua eval list`")


add_job_verbs(
    app,
    training_jobs,
    columns={
        "DATASET VERSION": lambda job: job.dataset_version.partition("/datasets/")[2].replace("/versions/", "/"),
        "BASE": lambda job: job.base_model.removeprefix("baseModels/").replace("/revisions/", "@"),
        "ADAPTER": lambda job: job.adapter.rpartition("/")[2],
    },
    conclude=_conclude,
)
