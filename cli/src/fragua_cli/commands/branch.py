"""`fragua branch`: subjects or roles, each with its own datasets and line of adapters."""

from __future__ import annotations

from typing import Annotated

import typer

from fragua.dataset.v1 import dataset_service_pb2 as calls
from fragua_cli.commands import branch_policy, branch_trigger
from fragua_cli.commands.job_verbs import first
from fragua_cli.names import branches
from fragua_cli.options import LimitOption
from fragua_cli.output import local_time
from fragua_cli.session import Session, client_command

app = typer.Typer()
app.add_typer(branch_policy.app, name="policy", help="What a branch expects of its examples.")
app.add_typer(branch_trigger.app, name="trigger", help="Rules that say when a branch is due for training.")

BranchArgument = Annotated[str, typer.Argument(metavar="BRANCH", help="Lower-case letters, digits, inner hyphens.")]


@client_command(app, "create")
async def create(
    session: Session,
    branch: BranchArgument,
    display_name: Annotated[str, typer.Option(help="A name for people, in any language.", show_default=False)] = "",
) -> None:
    """Create a branch; creating it again changes nothing."""
    request = calls.CreateBranchRequest(branch_id=branch.removeprefix("branches/"), display_name=display_name)
    session.output.document(await session.suite.call(session.suite.dataset.CreateBranch, request))


@client_command(app, "list")
async def list_branches(session: Session, limit: LimitOption = 100) -> None:
    """List the branches."""
    found, more = await first(branches(session.suite), limit)
    columns = {
        "NAME": [branch.name for branch in found],
        "DISPLAY NAME": [branch.display_name for branch in found],
        "CREATED": [local_time(branch.create_time) for branch in found],
    }
    session.output.listing(found, columns, nothing="no branch yet: `fragua branch create NAME`", more=more)


@client_command(app, "show")
async def show(session: Session, branch: BranchArgument) -> None:
    """Show one branch."""
    request = calls.GetBranchRequest(name=f"branches/{branch.removeprefix('branches/')}")
    session.output.document(await session.suite.call(session.suite.dataset.GetBranch, request))
