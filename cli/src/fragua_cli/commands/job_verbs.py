"""The verbs that every kind of job has: list, show, watch, cancel, pause, resume."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

import typer

from fragua_cli.following import state_name
from fragua_cli.jobs import PausableJobs
from fragua_cli.names import branch_name, resource_name
from fragua_cli.options import BranchOption, LimitOption
from fragua_cli.outcomes import follow_to_success
from fragua_cli.output import local_time
from fragua_cli.session import Session, client_command
from fragua_cli.suite import Suite

T = TypeVar("T")
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The resource name, or its last part.")]


def add_job_verbs(
    app: typer.Typer,
    jobs_of: Callable[[Suite], PausableJobs[Any]],
    *,
    columns: Mapping[str, Callable[[Any], str]],
    conclude: Callable[[Session, Any], Awaitable[None]],
) -> None:
    """`columns` are shown by `list` between name and state; `conclude` tells what a successful job made."""

    @client_command(app, "list")
    async def list_jobs(session: Session, branch: BranchOption = "", limit: LimitOption = 20) -> None:
        """List them, newest first."""
        jobs = jobs_of(session.suite)
        found, more = await first(jobs.list(await branch_name(session.suite, branch)), limit)
        cells = {
            "NAME": [job.name for job in found],
            **{header: [cell(job) for job in found] for header, cell in columns.items()},
            "STATE": [state_name(job.status) for job in found],
            "CREATED": [local_time(job.status.create_time) for job in found],
        }
        session.output.listing(found, cells, nothing=f"no {jobs.noun} yet", more=more)

    @client_command(app, "show")
    async def show(session: Session, name: NameArgument, branch: BranchOption = "") -> None:
        """Show one, whole."""
        jobs = jobs_of(session.suite)
        session.output.document(await jobs.get(await resource_name(session.suite, jobs.collection, name, branch)))

    @client_command(app, "watch")
    async def watch(session: Session, name: NameArgument, branch: BranchOption = "") -> None:
        """Follow one to its end; services may restart meanwhile. With --json: one line for each change."""
        jobs = jobs_of(session.suite)
        full_name = await resource_name(session.suite, jobs.collection, name, branch)
        await conclude(session, await follow_to_success(session, jobs, full_name))

    @client_command(app, "cancel")
    async def cancel(session: Session, name: NameArgument, branch: BranchOption = "") -> None:
        """End one for good; a running one ends within seconds."""
        jobs = jobs_of(session.suite)
        _tell(session, await jobs.cancel(await resource_name(session.suite, jobs.collection, name, branch)))

    @client_command(app, "pause")
    async def pause(session: Session, name: NameArgument, branch: BranchOption = "") -> None:
        """Stop one with its progress saved."""
        jobs = jobs_of(session.suite)
        _tell(session, await jobs.pause(await resource_name(session.suite, jobs.collection, name, branch)))

    @client_command(app, "resume")
    async def resume(session: Session, name: NameArgument, branch: BranchOption = "") -> None:
        """Let a paused one go on."""
        jobs = jobs_of(session.suite)
        _tell(session, await jobs.resume(await resource_name(session.suite, jobs.collection, name, branch)))


async def first(resources: Any, limit: int) -> tuple[Sequence[Any], bool]:
    """The first few, and whether there are more."""
    found: list[Any] = []
    async for resource in resources:
        if len(found) == limit:
            return found, True
        found.append(resource)
    return found, False


def _tell(session: Session, job: Any) -> None:
    if session.output.as_json:
        session.output.document(job)
        return
    status = job.status
    asked = ", cancelling" if status.cancel_requested else ", pausing" if status.pause_requested else ""
    session.output.say(f"{job.name} is {state_name(status)}{asked if state_name(status) == 'RUNNING' else ''}")
