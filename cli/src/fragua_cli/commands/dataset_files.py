"""`fragua dataset convert|conversions|download`: versions as files, ours or those of other programs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from fragua.common.v1 import artifact_pb2, job_pb2
from fragua.dataset.v1 import dataset_pb2
from fragua.dataset.v1 import dataset_service_pb2 as calls
from fragua_cli.commands.job_verbs import first
from fragua_cli.exits import ExitCode
from fragua_cli.following import follow, state_name
from fragua_cli.jobs import dataset_conversions, dataset_versions
from fragua_cli.names import branch_name, dataset_version_name
from fragua_cli.options import BranchOption, LimitOption
from fragua_cli.outcomes import show_failure
from fragua_cli.output import local_time, size_of
from fragua_cli.session import Session, client_command
from fragua_cli.transfers import download_dataset_file, name_in
from fragua_cli.versions import RowsArgument
from fragua_platform.errors import FailedPrecondition, InvalidInput, NotFound, Violation

app = typer.Typer()


class Format(StrEnum):
    CHAT_JSONL = "chat-jsonl"
    ALPACA = "alpaca"
    PARQUET = "parquet"
    HF_FOLDER = "hf-folder"


@client_command(app, "convert")
async def convert(
    session: Session,
    version: RowsArgument,
    wanted: Annotated[Format, typer.Option("--format", "-f", help="What to write.")],
    branch: BranchOption = "",
    to: Annotated[
        Path | None, typer.Option(file_okay=False, help="The folder to fetch the files into.", show_default=False)
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the writing to its end.")] = True,
) -> None:
    """Write a version for other programs. The same version and format again gives what is there already."""
    if to and not wait:
        problem = Violation("--to", "there are no files to fetch before they are written")
        raise InvalidInput("--to and --no-wait exclude each other", violations=[problem])
    suite = session.suite
    request = calls.ConvertDatasetVersionRequest(
        name=await dataset_version_name(suite, version, branch, with_rows=True),
        format=f"CONVERSION_FORMAT_{wanted.name}",
    )
    ordered = await suite.call(suite.dataset.ConvertDatasetVersion, request)
    if not wait:
        session.output.document(ordered)
        return
    conversion = await follow_conversion(session, ordered.name, f"writing {wanted}")
    if to:
        await _fetch(session, conversion.name, conversion.bundle, to, [])
    else:
        tell_conversion(session, conversion)


@client_command(app, "conversions")
async def conversions(
    session: Session,
    version: Annotated[
        str,
        typer.Argument(
            metavar="[VERSION]",
            help="Only those of DATASET (all its versions), of DATASET/VERSION, or of a full name.",
            show_default=False,
        ),
    ] = "",
    branch: BranchOption = "",
    limit: LimitOption = 20,
) -> None:
    """List what was written for other programs, newest first; `show`, `watch` and `cancel` take these names."""
    parent = await _conversions_parent(session, version, branch)
    found, more = await first(dataset_conversions(session.suite).list(parent), limit)
    columns = {
        "NAME": [conversion.name for conversion in found],
        "STATE": [state_name(conversion.status) for conversion in found],
        "CREATED": [local_time(conversion.status.create_time) for conversion in found],
    }
    session.output.listing(found, columns, nothing="none yet: `fragua dataset convert VERSION`", more=more)


async def _conversions_parent(session: Session, version: str, branch: str) -> str:
    if version.startswith("branches/"):
        return version
    parent = await branch_name(session.suite, branch)
    dataset, _, stamp = version.partition("/")
    return parent + (f"/datasets/{dataset}" if dataset else "") + (f"/versions/{stamp}" if stamp else "")


async def follow_conversion(session: Session, name: str, label: str = "") -> dataset_pb2.DatasetConversion:
    """Follow one to its end; unless it succeeded, say why and leave with the exit code for it."""
    states = dataset_conversions(session.suite).watch(name)
    conversion = await follow(session.output, label or name.rpartition("/")[2], states)
    match conversion.status.state:
        case job_pb2.JOB_STATE_SUCCEEDED:
            return conversion
        case job_pb2.JOB_STATE_CANCELLED:
            session.output.say(f"{name} was [yellow]cancelled[/yellow]")
            raise typer.Exit(ExitCode.CANCELLED)
        case _:
            show_failure(session.output, name, conversion.status)
            at_fault = conversion.status.failure_class == job_pb2.FAILURE_CLASS_USER_DATA
            raise typer.Exit(ExitCode.REFUSED if at_fault else ExitCode.FAILED)


def tell_conversion(session: Session, conversion: dataset_pb2.DatasetConversion) -> None:
    session.output.table(_files(conversion.bundle))
    session.output.say(f"[dim]`fragua dataset download {escape(conversion.name)} --to DIR` fetches them[/dim]")


@client_command(app, "download")
async def download(
    session: Session,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A version, as elsewhere, or the full name of a conversion.")
    ],
    to: Annotated[Path, typer.Option("--to", file_okay=False, help="The folder to write to.")],
    branch: BranchOption = "",
    file: Annotated[
        list[str] | None, typer.Option(help="Only this file; repeat it. All unless given.", show_default=False)
    ] = None,
) -> None:
    """Fetch the files of a version or conversion and check their digests; what broke off goes on where it stopped."""
    suite = session.suite
    resource: dataset_pb2.DatasetVersion | dataset_pb2.DatasetConversion
    if "/conversions/" in name:
        resource = await dataset_conversions(suite).get(name)
    else:
        resource = await dataset_versions(suite).get(await dataset_version_name(suite, name, branch, with_rows=True))
    if not resource.HasField("bundle"):
        raise FailedPrecondition(f"{resource.name} has no files to fetch")
    await _fetch(session, resource.name, resource.bundle, to, file or [])


async def _fetch(session: Session, name: str, bundle: artifact_pb2.Bundle, folder: Path, wanted: list[str]) -> None:
    files = {name_in(bundle, file): file for file in bundle.files}
    if unknown := set(wanted) - files.keys():
        raise NotFound(f"{name} has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(files))}")
    fetched = []
    for path in wanted or sorted(files):
        target = await download_dataset_file(session.suite, session.output, name, path, files[path], folder)
        size, digest = files[path].size_bytes, files[path].sha256
        fetched.append({"path": str(target.resolve()), "sizeBytes": size, "sha256": digest})
        session.output.say(f"{escape(str(target))}  {size_of(size)}  [dim]sha256 {digest}[/dim]")
    if session.output.as_json:
        session.output.document({"name": name, "files": fetched})


def _files(bundle: artifact_pb2.Bundle) -> dict[str, list[str]]:
    return {
        "FILE": [name_in(bundle, file) for file in bundle.files],
        "SIZE": [size_of(file.size_bytes) for file in bundle.files],
    }
