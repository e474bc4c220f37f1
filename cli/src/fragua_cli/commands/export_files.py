"""`fragua export download|url|modelfile|card`: the files of an export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from fragua.exporter.v1 import exporter_service_pb2 as calls
from fragua_cli.commands.job_verbs import NameArgument
from fragua_cli.exports import published_export
from fragua_cli.names import resource_name
from fragua_cli.options import BranchOption
from fragua_cli.output import size_of
from fragua_cli.session import Session, client_command
from fragua_cli.transfers import download_export_file, name_in
from fragua_platform.errors import NotFound

app = typer.Typer()


@client_command(app, "download")
async def download(
    session: Session,
    name: NameArgument,
    to: Annotated[Path, typer.Option("--to", file_okay=False, help="The folder to write to.")],
    branch: BranchOption = "",
    file: Annotated[
        list[str] | None, typer.Option(help="Only this file; repeat it. All unless given.", show_default=False)
    ] = None,
) -> None:
    """Fetch the files of an export and check their digests. A download that broke off goes on where it stopped."""
    export = await published_export(session, name, branch)
    artifacts = {name_in(export.bundle, artifact): artifact for artifact in export.bundle.files}
    if unknown := set(file or ()) - artifacts.keys():
        raise NotFound(f"{export.name} has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(artifacts))}")
    fetched = []
    for path, artifact in artifacts.items():
        if file and path not in file:
            continue
        target = await download_export_file(session.suite, session.output, export.name, path, artifact, to)
        fetched.append({"path": str(target.resolve()), "sizeBytes": artifact.size_bytes, "sha256": artifact.sha256})
        session.output.say(
            f"{escape(str(target))}  {size_of(artifact.size_bytes)}  [dim]sha256 {artifact.sha256}[/dim]"
        )
    if session.output.as_json:
        session.output.document({"export": export.name, "files": fetched})


@client_command(app, "url")
async def url(
    session: Session,
    name: NameArgument,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file name of the export, e.g. `Modelfile`.")],
    branch: BranchOption = "",
) -> None:
    """Print a link to one file that works without credentials until it expires."""
    suite = session.suite
    export = await resource_name(suite, "exports", name, branch)
    request = calls.GetExportDownloadUrlRequest(name=export, file=file)
    answer = await suite.call(suite.exporter.GetExportDownloadUrl, request)
    if session.output.as_json:
        session.output.document(answer)
    else:
        session.output.say(escape(answer.url))


@client_command(app, "modelfile")
async def modelfile(session: Session, name: NameArgument, branch: BranchOption = "") -> None:
    """Print the Modelfile, as `ollama create` takes it."""
    await _print(session, name, branch, "Modelfile")


@client_command(app, "card")
async def card(session: Session, name: NameArgument, branch: BranchOption = "") -> None:
    """Print the model card: what the model was made of, how it was trained, what was measured, how to run it."""
    await _print(session, name, branch, "README.md")


async def _print(session: Session, name: str, branch: str, file: str) -> None:
    suite = session.suite
    export = await published_export(session, name, branch)
    request = calls.DownloadExportFileRequest(name=export.name, file=file)

    async def read() -> bytes:
        return b"".join([part.chunk async for part in suite.exporter.DownloadExportFile(request)])

    text = (await suite.persist(read)).decode("utf-8")
    if session.output.as_json:
        session.output.document({"export": export.name, "file": file, "text": text})
    else:
        typer.echo(text, nl=False)
