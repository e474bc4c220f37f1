"""How a followed job ended: what people read, and the exit code that programs do."""

from __future__ import annotations

import asyncio

import typer
from rich.markup import escape

from fragua.common.v1 import job_pb2
from fragua_cli.exits import ExitCode
from fragua_cli.following import follow
from fragua_cli.jobs import Jobs
from fragua_cli.output import Output
from fragua_cli.session import Session
from fragua_cli.suite import J
from fragua_platform.grpc.status import error_from_status

_WHOSE_MOVE = {
    job_pb2.FAILURE_CLASS_USER_DATA: "Fix the data and start again.",
    job_pb2.FAILURE_CLASS_USER_CONFIG: "Fix the request and start again.",
    job_pb2.FAILURE_CLASS_CAPACITY: "Give it more memory, disk or time, or try again later.",
    job_pb2.FAILURE_CLASS_INTERNAL: "This is a defect of the suite; please report it.",
}


async def follow_to_success(session: Session, jobs: Jobs[J], name: str, *, label: str = "") -> J:
    """Follow a job; unless it succeeded, say why and leave with the exit code for it."""
    try:
        ended = await follow(session.output, label or name.rpartition("/")[2], jobs.watch(name))
    except asyncio.CancelledError:
        again, end = f"fragua {jobs.command} watch {name}", f"fragua {jobs.command} cancel {name}"
        session.output.notice(f"The {jobs.noun} goes on. `{again}` follows it again, `{end}` ends it.")
        raise
    match ended.status.state:
        case job_pb2.JOB_STATE_SUCCEEDED:
            return ended
        case job_pb2.JOB_STATE_CANCELLED:
            session.output.say(f"{name} was [yellow]cancelled[/yellow]")
            raise typer.Exit(ExitCode.CANCELLED)
        case _:
            show_failure(session.output, ended.name, ended.status)
            raise typer.Exit(ExitCode.FAILED)


def show_failure(output: Output, name: str, status: job_pb2.JobStatus, *, with_violations: bool = True) -> None:
    error = error_from_status(status.error)
    output.say(f"{name} [bold red]failed[/bold red] in attempt {status.attempt}: {escape(error.message)}")
    for violation in error.violations if with_violations else ():
        output.say(f"  {escape(violation.field)}: {escape(violation.description)}")
    if move := _WHOSE_MOVE.get(status.failure_class):
        output.say(f"[dim]{move}[/dim]")


def seconds_taken(status: job_pb2.JobStatus) -> str:
    """`in 34 s`, from the first attempt's begin."""
    seconds = status.end_time.seconds - status.start_time.seconds
    return f"in {seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"in {seconds} s"
