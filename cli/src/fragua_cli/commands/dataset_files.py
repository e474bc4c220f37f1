"""`fragua dataset convert|download`: versions as files, ours or those of other programs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from fragua.common.v1 import artifact_pb2, job_pb2
from fragua.dataset.v1 import dataset_pb2
from fragua.dataset.v1 import dataset_service_pb2 as calls
from fragua_cli.exits import ExitCode
from fragua_cli.following import follow
from fragua_cli.jobs import dataset_versions
from fragua_cli.names import dataset_version_name
from fragua_cli.options import BranchOption
from fragua_cli.outcomes import show_failure
from fragua_cli.output import size_of
from fragua_cli.session import Session, client_command
from fragua_cli.transfers import download_dataset_file, name_in
from fragua_cli.versions import RowsArgument
from fragua_platform.errors import FailedPrecondition, NotFound

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
) -> None:
    """Write a version for other programs. The same version and format again gives what is there already."""
    suite = session.suite
    request = calls.ConvertDatasetVersionRequest(
        name=await dataset_version_name(suite, version, branch, with_rows=True),
        format=f"CONVERSION_FORMAT_{wanted.name}",
    )
    name = (await suite.call(suite.dataset.ConvertDatasetVersion, request)).name
    states = suite.watch(suite.dataset.WatchDatasetConversion, calls.WatchDatasetConversionRequest(name=name))
    conversion: dataset_pb2.DatasetConversion = await follow(session.output, f"writing {wanted}", states)
    if conversion.status.state != job_pb2.JOB_STATE_SUCCEEDED:
        show_failure(session.output, name, conversion.status)
        at_fault = conversion.status.failure_class == job_pb2.FAILURE_CLASS_USER_DATA
        raise typer.Exit(ExitCode.REFUSED if at_fault else ExitCode.FAILED)
    if to:
        await _fetch(session, name, conversion.bundle, to, [])
        return
    session.output.table(_files(conversion.bundle))
    session.output.say(f"[dim]`fragua dataset download {escape(name)} --to DIR` fetches them[/dim]")


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
        request = calls.GetDatasetConversionRequest(name=name)
        resource = await suite.call(suite.dataset.GetDatasetConversion, request)
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
