"""`fragua export`: adapters as GGUF files with an Ollama Modelfile."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from fragua.exporter.v1 import exporter_pb2
from fragua.exporter.v1 import exporter_service_pb2 as calls
from fragua_cli.commands import export_publish
from fragua_cli.commands.job_verbs import NameArgument, add_job_verbs
from fragua_cli.jobs import exports
from fragua_cli.names import branch_name, resource_name
from fragua_cli.options import BranchOption, RequestIdOption, ValidateOnlyOption, WatchOption, request_id
from fragua_cli.outcomes import follow_to_success, seconds_taken
from fragua_cli.output import size_of
from fragua_cli.quantizations import Quantization
from fragua_cli.session import Session, client_command
from fragua_cli.transfers import download
from fragua_platform.errors import FailedPrecondition, NotFound

app = typer.Typer()
app.add_typer(export_publish.app)


@client_command(app, "create")
async def create(
    session: Session,
    adapter: Annotated[str, typer.Option("--adapter", "-a", help="Its number, or its full resource name.")],
    branch: BranchOption = "",
    quant: Annotated[
        list[Quantization] | None,
        typer.Option("--quant", "-q", help="One file each; repeat it. f16 unless given.", show_default=False),
    ] = None,
    system: Annotated[str, typer.Option(help="System prompt for the Modelfile.", show_default=False)] = "",
    probe: Annotated[str, typer.Option(help="Asked of every file before it is published.", show_default=False)] = "",
    validate_only: ValidateOnlyOption = False,
    watch: WatchOption = True,
    given_request_id: RequestIdOption = "",
) -> None:
    """Merge an adapter into its base and write verified GGUF files with a Modelfile."""
    suite = session.suite
    adapter_name = await resource_name(suite, "adapters", adapter, branch)
    request = calls.CreateExportRequest(
        parent=await branch_name(suite, branch, implied_by=adapter_name),
        request_id=request_id(given_request_id),
        validate_only=validate_only,
        export=exporter_pb2.Export(
            adapter=adapter_name,
            quantizations=[each.in_messages for each in quant or ()],
            system_prompt=system,
            probe_prompt=probe,
        ),
    )
    export = await suite.call(suite.exporter.CreateExport, request)
    if validate_only or not watch:
        session.output.document(export)
        return
    await _conclude(session, await follow_to_success(session, exports(suite), export.name))


@client_command(app, "download")
async def fetch(
    session: Session,
    name: NameArgument,
    to: Annotated[Path, typer.Option("--to", file_okay=False, help="The folder to write to.")],
    branch: BranchOption = "",
    file: Annotated[
        list[str] | None, typer.Option(help="Only this file; repeat it. All unless given.", show_default=False)
    ] = None,
) -> None:
    """Fetch the files of an export and check their digests. A download that broke off goes on where it stopped."""
    export = await _published(session, name, branch)
    artifacts = {artifact.key.rpartition("/")[2]: artifact for artifact in export.bundle.files}
    if unknown := set(file or ()) - artifacts.keys():
        raise NotFound(f"{export.name} has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(artifacts))}")
    wanted = {label: artifact for label, artifact in artifacts.items() if not file or label in file}
    fetched = []
    for artifact in wanted.values():
        path = await download(session.suite, session.output, export.name, artifact, to)
        fetched.append({"path": str(path.resolve()), "sizeBytes": artifact.size_bytes, "sha256": artifact.sha256})
        session.output.say(f"{escape(str(path))}  {size_of(artifact.size_bytes)}  [dim]sha256 {artifact.sha256}[/dim]")
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


async def _published(session: Session, name: str, branch: str) -> exporter_pb2.Export:
    export = await exports(session.suite).get(await resource_name(session.suite, "exports", name, branch))
    if not export.HasField("bundle"):
        raise FailedPrecondition(f"{export.name} has no files yet; `fragua export watch {export.name}` waits for them")
    return export


async def _conclude(session: Session, export: exporter_pb2.Export) -> None:
    session.output.say(f"{export.name} [green]succeeded[/green] {seconds_taken(export.status)}")
    files = export.files
    session.output.table(
        {
            "FILE": [file.artifact.key.rpartition("/")[2] for file in files],
            "SIZE": [size_of(file.artifact.size_bytes) for file in files],
            "SAME TOP TOKEN": [f"{file.verification.top1_agreement:.1%}" for file in files],
            "MAX KL": [f"{file.verification.max_kl_divergence:.2g}" for file in files],
            "ANSWER TO THE PROBE": [file.verification.answer for file in files],
        }
    )
    session.output.say(f"[dim]`fragua export download {export.name} --to DIR` fetches them[/dim]")


add_job_verbs(
    app,
    exports,
    columns={
        "ADAPTER": lambda job: job.adapter.rpartition("/")[2],
        "FILES": lambda job: ", ".join(
            exporter_pb2.Quantization.Name(each).removeprefix("QUANTIZATION_").lower() for each in job.quantizations
        ),
    },
    conclude=_conclude,
)
