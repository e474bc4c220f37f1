"""`fragua export publish`: an export becomes a model of an Ollama server."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated

import typer
from rich.markup import escape

from fragua.exporter.v1 import exporter_pb2
from fragua.exporter.v1 import exporter_service_pb2 as calls
from fragua_cli.commands.job_verbs import NameArgument
from fragua_cli.names import resource_name
from fragua_cli.options import BranchOption
from fragua_cli.output import size_of
from fragua_cli.quantizations import Quantization
from fragua_cli.session import Session, client_command
from fragua_cli.transfers import Advance, transfer_bar

app = typer.Typer()


@client_command(app, "publish")
async def publish(
    session: Session,
    name: NameArgument,
    model: Annotated[str, typer.Option("--model", "-m", help="Its name in Ollama, without a tag, e.g. `tutor`.")],
    tag: Annotated[str, typer.Option(help="The next free v1, v2, v3… unless given.", show_default=False)] = "",
    quant: Annotated[
        Quantization | None, typer.Option("--quant", "-q", help="The Modelfile's unless given.", show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be sent, and send nothing.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Let the model replace one that has its tag.")] = False,
    branch: BranchOption = "",
) -> None:
    """Put an export into the Ollama server of the suite, with the turns and parameters of its Modelfile."""
    request = calls.PublishToOllamaRequest(
        name=await resource_name(session.suite, "exports", name, branch),
        model=model,
        tag=tag,
        quantization=quant.in_messages if quant else exporter_pb2.QUANTIZATION_UNSPECIFIED,
        dry_run=dry_run,
        replace=replace,
    )
    last = await _follow(session, request)
    published = last.publication
    if session.output.as_json:
        session.output.document(last if dry_run else published)
    elif dry_run:
        session.output.say(f"{escape(last.phase)} ({size_of(last.total_bytes)})")
    else:
        session.output.say(f"{escape(published.model)} [green]is ready[/green]  [dim]digest {published.digest}[/dim]")
        session.output.say(f"[dim]`ollama run {escape(published.model)}` talks to it[/dim]")


async def _follow(session: Session, request: calls.PublishToOllamaRequest) -> calls.PublishToOllamaResponse:
    """Every new phase as a line, bytes in a bar; the last message tells what came of it.

    A call that failed is not repeated by itself: whether Ollama is away is for the caller to see, not to wait for.
    """
    answer = calls.PublishToOllamaResponse()
    phase, sent = "", 0
    with ExitStack() as bars:
        advance: Advance | None = None
        async for answer in session.suite.exporter.PublishToOllama(request):
            if answer.HasField("publication"):
                break
            if answer.phase != phase:
                phase = answer.phase
                session.output.say(f"[dim]{escape(phase)}[/dim]")
            if answer.total_bytes and advance is None:
                bar = transfer_bar(session.output, "sending to Ollama", answer.total_bytes)
                advance = bars.enter_context(bar)
            if advance:
                advance(answer.sent_bytes - sent)
                sent = answer.sent_bytes
    return answer
