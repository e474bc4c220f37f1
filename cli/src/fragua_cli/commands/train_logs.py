"""`fragua train logs`: what a run says, so far and from now on."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from fragua.trainer.v1 import trainer_service_pb2 as calls
from fragua_cli.commands.job_verbs import NameArgument
from fragua_cli.names import resource_name
from fragua_cli.options import BranchOption
from fragua_cli.session import Session, client_command

app = typer.Typer()


@client_command(app, "logs")
async def logs(
    session: Session,
    name: NameArgument,
    branch: BranchOption = "",
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Go on until the job has ended.")] = True,
) -> None:
    """Print what a run has said, then what it says; attempts after the first one are numbered."""
    suite, output = session.suite, session.output
    full_name = await resource_name(suite, "trainingJobs", name, branch)
    request = calls.StreamTrainingLogsRequest(name=full_name, no_follow=not follow)
    async for said in suite.replayed(suite.trainer.StreamTrainingLogs, request):
        output.update(said)
        attempt = f"[dim]attempt {said.attempt}:[/dim] " if said.attempt > 1 else ""
        output.say(f"{attempt}{escape(said.line)}")
