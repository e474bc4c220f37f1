"""`fragua eval report`: fetch what an evaluation wrote down."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from fragua.common.v1 import job_pb2
from fragua.evaluator.v1 import evaluator_pb2
from fragua_cli.commands.job_verbs import NameArgument
from fragua_cli.following import state_name
from fragua_cli.jobs import evaluations
from fragua_cli.names import resource_name
from fragua_cli.options import BranchOption
from fragua_cli.session import Session, client_command
from fragua_cli.transfers import download_evaluation_file, name_in
from fragua_platform.errors import FailedPrecondition, NotFound

app = typer.Typer()


@client_command(app, "report")
async def report(
    session: Session,
    name: NameArgument,
    branch: BranchOption = "",
    to: Annotated[Path | None, typer.Option("--to", help="The folder [its name].", show_default=False)] = None,
    file: Annotated[
        list[str] | None, typer.Option("--file", help="Only this one, e.g. report.html; repeat it.", show_default=False)
    ] = None,
) -> None:
    """Fetch the reports: report.html to read and vote in, report.md, report.json, and every item with its answers."""
    jobs = evaluations(session.suite)
    evaluation = await jobs.get(await resource_name(session.suite, jobs.collection, name, branch))
    folder = to or Path(evaluation.name.rpartition("/")[2])
    names = file or [name_in(evaluation.bundle, artifact) for artifact in evaluation.bundle.files]
    fetched = [await download_file(session, evaluation, each, folder / each) for each in names]
    if session.output.as_json:
        session.output.document({"evaluation": evaluation.name, "files": [str(path) for path in fetched]})
    for path in fetched:
        session.output.say(escape(str(path)))


async def download_file(session: Session, evaluation: evaluator_pb2.Evaluation, name: str, target: Path) -> Path:
    """Fetch one file of a finished evaluation, verified, to `target`."""
    if evaluation.status.state != job_pb2.JOB_STATE_SUCCEEDED:
        state = state_name(evaluation.status)
        raise FailedPrecondition(f"{evaluation.name} is {state}; its reports are there once it is SUCCEEDED")
    artifacts = {name_in(evaluation.bundle, artifact): artifact for artifact in evaluation.bundle.files}
    if name not in artifacts:
        raise NotFound(f"{evaluation.name} has no file {name!r}; it has {', '.join(sorted(artifacts))}")
    return await download_evaluation_file(session.suite, session.output, evaluation.name, name, artifacts[name], target)
