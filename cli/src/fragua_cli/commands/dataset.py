"""`fragua dataset`: import files of examples, and see what validation found in them."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from fragua.dataset.v1 import dataset_pb2
from fragua.dataset.v1 import dataset_service_pb2 as calls
from fragua_cli.commands import dataset_derive, dataset_files, dataset_review, dataset_rows, feedback, synthesize
from fragua_cli.commands.job_verbs import first
from fragua_cli.jobs import dataset_conversions, dataset_versions
from fragua_cli.names import base_model_name, branch_name, dataset_id, dataset_version_name
from fragua_cli.options import BranchOption, LimitOption, RequestIdOption, request_id
from fragua_cli.output import local_time
from fragua_cli.session import Session, client_command
from fragua_cli.transfers import upload_dataset
from fragua_cli.versions import (
    ProfileOption,
    VersionArgument,
    WaitOption,
    follow_to_end,
    follow_version,
    list_problems,
    origin_of,
    version_state,
)
from fragua_platform.errors import InvalidInput, Violation

app = typer.Typer()

_DIGEST_SECONDS = 600.0
"""Of an object that another program put into the store the service reads every byte before it answers."""

for commands in (dataset_derive, dataset_review, dataset_rows, dataset_files, synthesize, feedback):
    app.add_typer(commands.app)


VersionOrConversion = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="DATASET (its newest version), DATASET/VERSION, or the full name of a version or conversion.",
    ),
]


class Shape(StrEnum):
    AUTO = "auto"
    ALPACA = "alpaca"
    MESSAGES = "messages"
    PROMPT_COMPLETION = "prompt_completion"
    SHAREGPT = "sharegpt"
    MULTIPLE_CHOICE = "multiple_choice"
    REQUIREMENTS = "requirements"


class Format(StrEnum):
    AUTO = "auto"
    JSONL = "jsonl"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


class Purpose(StrEnum):
    TRAINING = "training"
    EVALUATION = "evaluation"


@client_command(app, "import")
async def import_file(
    session: Session,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="JSON Lines, a JSON array or CSV in UTF-8, plain, gzip or zstd; or Parquet. Or an object of the "
            "artifact store, as s3://BUCKET/KEY.",
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
    stratum_field: Annotated[
        str, typer.Option(help="Each value is divided by itself; `type` unless given.", show_default=False)
    ] = "",
    profile: ProfileOption = "",
    profile_file: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A profile of your own, as YAML.", show_default=False),
    ] = None,
    purpose: Annotated[Purpose, typer.Option(help="Rows to evaluate with are all held out.")] = Purpose.TRAINING,
    tokenizer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BASE=LENGTH",
            help="Tell which rows this base model would cut at so many tokens; may be repeated.",
            show_default=False,
        ),
    ] = None,
    in_store: Annotated[
        bool, typer.Option("--in-store", help="FILE is the key of an object in the artifact store.")
    ] = False,
    wait: WaitOption = True,
    given_request_id: RequestIdOption = "",
) -> None:
    """Import a file as a new immutable version. Exits with 2 when rows have problems, and lists them.

    Where the connection breaks, the upload goes on by itself from where it stopped.
    """
    suite = session.suite
    parent = f"{await branch_name(suite, branch)}/datasets/{dataset_id(dataset)}"
    options = dataset_pb2.ImportOptions(
        shape=None if shape is Shape.AUTO else f"ROW_SHAPE_{shape.name}",
        validation_fraction=validation_fraction,
        split_seed=seed,
        group_field=group_field,
        format=None if file_format is Format.AUTO else f"FILE_FORMAT_{file_format.name}",
        profile=profile,
        profile_yaml=profile_file.read_text("utf-8") if profile_file else "",
        purpose=f"DATASET_PURPOSE_{purpose.name}",
        stratum_field=stratum_field,
        tokenizers=[await _tokenizer_use(session, given) for given in tokenizer or []],
    )
    if in_store or file.startswith("s3://"):
        request = calls.ImportDatasetObjectRequest(
            parent=parent, request_id=request_id(given_request_id), object_uri=file, options=options
        )
        method = partial(suite.dataset.ImportDatasetObject, timeout=_DIGEST_SECONDS)
        version = await suite.call(method, request)
    else:
        header = calls.ImportDatasetHeader(parent=parent, request_id=request_id(given_request_id), options=options)
        version = await upload_dataset(suite, session.output, _existing(file), header)
    await follow_version(session, version, wait=wait)


def _existing(file: str) -> Path:
    path = Path(file)
    if not path.is_file():
        problem = Violation("FILE", f"{file} is no file")
        raise InvalidInput(problem.description, violations=[problem])
    return path


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
        parent += f"/datasets/{dataset_id(dataset)}"
    found, more = await first(dataset_versions(session.suite).list(parent), limit)
    columns = {
        "NAME": [version.name for version in found],
        "STATE": [version_state(version) for version in found],
        "FROM": [origin_of(version) for version in found],
        "TRAIN": [f"{version.train_row_count:,}" for version in found],
        "HELD OUT": [f"{version.validation_row_count:,}" for version in found],
        "PROBLEMS": [f"{version.problem_count:,}" for version in found],
        "CREATED": [local_time(version.status.create_time) for version in found],
    }
    session.output.listing(found, columns, nothing="no dataset yet: `fragua dataset import FILE`", more=more)


@client_command(app, "show")
async def show(session: Session, version: VersionOrConversion, branch: BranchOption = "") -> None:
    """Show one version, whole; or a conversion."""
    if "/conversions/" in version:
        session.output.document(await dataset_conversions(session.suite).get(version))
        return
    name = await dataset_version_name(session.suite, version, branch)
    session.output.document(await dataset_versions(session.suite).get(name))


@client_command(app, "problems")
async def problems(
    session: Session, version: VersionArgument, branch: BranchOption = "", limit: LimitOption = 100
) -> None:
    """List what validation found, in line order."""
    await list_problems(session, await dataset_version_name(session.suite, version, branch), limit)


@client_command(app, "watch")
async def watch(session: Session, version: VersionOrConversion, branch: BranchOption = "") -> None:
    """Follow a validation, or a conversion, to its end. With --json: one line for each change."""
    if "/conversions/" in version:
        dataset_files.tell_conversion(session, await dataset_files.follow_conversion(session, version))
        return
    await follow_to_end(session, await dataset_version_name(session.suite, version, branch))


@client_command(app, "cancel")
async def cancel(session: Session, version: VersionOrConversion, branch: BranchOption = "") -> None:
    """End a validation: the version becomes INVALID. Or a conversion."""
    if "/conversions/" in version:
        session.output.document(await dataset_conversions(session.suite).cancel(version))
        return
    name = await dataset_version_name(session.suite, version, branch)
    session.output.document(await dataset_versions(session.suite).cancel(name))


async def _tokenizer_use(session: Session, given: str) -> dataset_pb2.TokenizerUse:
    base, _, length = given.rpartition("=")
    if not base or not length.isdecimal():
        problem = Violation("--tokenizer", f"{given!r} is not BASE=LENGTH, such as tiny=2048")
        raise InvalidInput("a tokenizer cannot be asked", violations=[problem])
    return dataset_pb2.TokenizerUse(base_model=await base_model_name(session.suite, base), max_length=int(length))
