"""`fragua dataset`: import files of examples, and see what validation found in them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fragua.common.v1 import job_pb2
from fragua.dataset.v1 import dataset_pb2
from fragua.dataset.v1 import dataset_service_pb2 as calls
from fragua_cli.commands.job_verbs import first
from fragua_cli.exits import ExitCode
from fragua_cli.following import follow
from fragua_cli.jobs import dataset_versions
from fragua_cli.names import branch_name, dataset_version_name
from fragua_cli.options import BranchOption, LimitOption, RequestIdOption, request_id
from fragua_cli.outcomes import show_failure
from fragua_cli.output import local_time
from fragua_cli.session import Session, client_command
from fragua_cli.suite import all_pages
from fragua_cli.transfers import upload_dataset

app = typer.Typer()

VersionArgument = Annotated[
    str, typer.Argument(metavar="VERSION", help="DATASET (its newest version), DATASET/VERSION, or the full name.")
]
_PROBLEMS_SHOWN = 20


class Shape(StrEnum):
    AUTO = "auto"
    ALPACA = "alpaca"
    MESSAGES = "messages"
    PROMPT_COMPLETION = "prompt_completion"
    SHAREGPT = "sharegpt"
    MULTIPLE_CHOICE = "multiple_choice"


class Format(StrEnum):
    AUTO = "auto"
    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"


@client_command(app, "import")
async def import_file(
    session: Session,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="JSON Lines, a JSON array or CSV in UTF-8; plain, gzip or zstd.",
        ),
    ],
    dataset: Annotated[str, typer.Option("--name", "-n", help="The dataset; begins with its first version.")],
    branch: BranchOption = "",
    shape: Annotated[Shape, typer.Option(help="The field names of a row; `auto` recognises them.")] = Shape.AUTO,
    file_format: Annotated[
        Format, typer.Option("--format", help="How rows follow each other; `auto` recognises it.")
    ] = Format.AUTO,
    validation_fraction: Annotated[
        float | None, typer.Option(help="Share that is held out; 0.2 unless given.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed holds out other rows.")] = 0,
    group_field: Annotated[
        str, typer.Option(help="Rows with the same value stay on one side; `group` unless given.", show_default=False)
    ] = "",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow validation to its end.")] = True,
    given_request_id: RequestIdOption = "",
) -> None:
    """Import a file as a new immutable version. Exits with 2 when rows have problems, and lists them."""
    header = calls.ImportDatasetHeader(
        parent=f"{await branch_name(session.suite, branch)}/datasets/{dataset}",
        request_id=request_id(given_request_id),
        options=dataset_pb2.ImportOptions(
            shape=None if shape is Shape.AUTO else f"ROW_SHAPE_{shape.name}",
            validation_fraction=validation_fraction,
            split_seed=seed,
            group_field=group_field,
            format=None if file_format is Format.AUTO else f"FILE_FORMAT_{file_format.name}",
        ),
    )
    version = await upload_dataset(session.suite, session.output, file, header)
    if wait:
        await _follow(session, version.name)
    else:
        session.output.document(version)


@client_command(app, "list")
async def list_versions(
    session: Session,
    dataset: Annotated[str, typer.Argument(metavar="[DATASET]", help="Only this dataset.", show_default=False)] = "",
    branch: BranchOption = "",
    limit: LimitOption = 20,
) -> None:
    """List the versions of a branch's datasets, newest first."""
    parent = await branch_name(session.suite, branch)
    if dataset:
        parent += f"/datasets/{dataset}"
    found, more = await first(dataset_versions(session.suite).list(parent), limit)
    columns = {
        "NAME": [version.name for version in found],
        "STATE": [version_state(version) for version in found],
        "TRAIN": [f"{version.train_row_count:,}" for version in found],
        "HELD OUT": [f"{version.validation_row_count:,}" for version in found],
        "PROBLEMS": [f"{version.problem_count:,}" for version in found],
        "CREATED": [local_time(version.status.create_time) for version in found],
    }
    session.output.listing(found, columns, nothing="no dataset yet: `fragua dataset import FILE`", more=more)


@client_command(app, "show")
async def show(session: Session, version: VersionArgument, branch: BranchOption = "") -> None:
    """Show one version, whole."""
    name = await dataset_version_name(session.suite, version, branch)
    session.output.document(await dataset_versions(session.suite).get(name))


@client_command(app, "problems")
async def problems(
    session: Session, version: VersionArgument, branch: BranchOption = "", limit: LimitOption = 100
) -> None:
    """List what validation found, in line order."""
    await _list_problems(session, await dataset_version_name(session.suite, version, branch), limit)


@client_command(app, "watch")
async def watch(session: Session, version: VersionArgument, branch: BranchOption = "") -> None:
    """Follow a validation to its end. With --json: one line for each change."""
    await _follow(session, await dataset_version_name(session.suite, version, branch))


@client_command(app, "cancel")
async def cancel(session: Session, version: VersionArgument, branch: BranchOption = "") -> None:
    """End a validation; the version becomes INVALID."""
    name = await dataset_version_name(session.suite, version, branch)
    session.output.document(await dataset_versions(session.suite).cancel(name))


async def _follow(session: Session, name: str) -> None:
    version = await follow(session.output, "checking rows", dataset_versions(session.suite).watch(name))
    match version.status.state:
        case job_pb2.JOB_STATE_SUCCEEDED:
            session.output.say(
                f"{name} is [green]READY[/green]: {version.train_row_count:,} rows to train on, "
                f"{version.validation_row_count:,} held out"
            )
        case job_pb2.JOB_STATE_CANCELLED:
            session.output.say(f"{name} was [yellow]cancelled[/yellow]")
            raise typer.Exit(ExitCode.CANCELLED)
        case _:
            listed = version.problem_count > 0 and not session.output.as_json
            show_failure(session.output, name, version.status, with_violations=not listed)
            if listed:
                await _list_problems(session, name, _PROBLEMS_SHOWN)
            at_fault = version.status.failure_class == job_pb2.FAILURE_CLASS_USER_DATA
            raise typer.Exit(ExitCode.REFUSED if at_fault else ExitCode.FAILED)


async def _list_problems(session: Session, name: str, limit: int) -> None:
    suite = session.suite
    pages = all_pages(
        lambda token: suite.call(
            suite.dataset.ListDatasetProblems, calls.ListDatasetProblemsRequest(parent=name, page_token=token)
        ),
        "problems",
    )
    found, more = await first(pages, limit)
    columns = {
        "LINE": [str(problem.line or "") for problem in found],
        "POINTER": [problem.pointer for problem in found],
        "CODE": [problem.code for problem in found],
        "PROBLEM": [problem.message for problem in found],
        "WAY OUT": [problem.hint for problem in found],
    }
    session.output.listing(found, columns, nothing="no problems", more=more)


def version_state(version: dataset_pb2.DatasetVersion) -> str:
    return dataset_pb2.DatasetVersionState.Name(version.state).removeprefix("DATASET_VERSION_STATE_")
