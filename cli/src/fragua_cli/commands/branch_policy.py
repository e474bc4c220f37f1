"""`fragua branch policy`: what a branch expects of its examples."""

from __future__ import annotations

import base64
from enum import StrEnum
from typing import Annotated

import typer

from fragua.dataset.v1 import branch_policy_pb2
from fragua.dataset.v1 import dataset_service_pb2 as calls
from fragua_cli.names import branch_name
from fragua_cli.options import BranchOption
from fragua_cli.session import Session, client_command
from fragua_platform.errors import InvalidInput, Violation

app = typer.Typer(no_args_is_help=True)


class PersonalData(StrEnum):
    ALLOW = "allow"
    WARN = "warn"
    REFUSE = "refuse"


@client_command(app, "show")
async def show(session: Session, branch: BranchOption = "") -> None:
    """Show the policy of a branch; the packaged one until somebody changes it."""
    session.output.document(await _policy(session, branch))


@client_command(app, "set")
async def change(
    session: Session,
    min_accuracy: Annotated[
        float | None, typer.Option(min=0, max=1, help="Attempts of at least this accuracy become samples.")
    ] = None,
    min_rating: Annotated[
        int | None, typer.Option(min=1, max=5, help="Outputs with at least so many stars go to the pool.")
    ] = None,
    requires_approval: Annotated[
        bool | None, typer.Option("--approval/--no-approval", help="A valid version waits for a reviewer.")
    ] = None,
    sample_size: Annotated[int | None, typer.Option(min=1, max=500, help="Rows that a reviewer is shown.")] = None,
    personal_data: Annotated[
        PersonalData | None, typer.Option(help="What becomes of rows with secrets or personal data.")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="Of imports that name none.")] = None,
    schedule: Annotated[
        str | None,
        typer.Option(help="When samples become versions: five fields of cron, in UTC; `never` for never."),
    ] = None,
    trust: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OWNER=KEY", help="A public key whose signatures count, as `keygen` prints it; repeatable."
        ),
    ] = None,
    distrust: Annotated[list[str] | None, typer.Option(metavar="OWNER", help="Forget a key; repeatable.")] = None,
    branch: BranchOption = "",
) -> None:
    """Change what is given; everything else stays as it is."""
    policy = await _policy(session, branch)
    changes = {
        "min_attempt_accuracy": min_accuracy,
        "min_rating": min_rating,
        "requires_approval": requires_approval,
        "sample_size": sample_size,
        "profile": profile,
        "personal_data": personal_data and f"PERSONAL_DATA_RULE_{personal_data.name}",
        "consolidation_schedule": "" if schedule == "never" else schedule,
    }
    for name, value in changes.items():
        if value is not None:
            setattr(policy, name, value)
    for owner in distrust or ():
        policy.trusted_keys.pop(owner, None)
    for key in trust or ():
        owner, _, text = key.partition("=")
        policy.trusted_keys[owner] = _public_key(text)
    request = calls.UpdateBranchPolicyRequest(policy=policy)
    session.output.document(await session.suite.call(session.suite.dataset.UpdateBranchPolicy, request))


async def _policy(session: Session, branch: str) -> branch_policy_pb2.BranchPolicy:
    request = calls.GetBranchPolicyRequest(name=f"{await branch_name(session.suite, branch)}/policy")
    return await session.suite.call(session.suite.dataset.GetBranchPolicy, request)


def _public_key(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as broken:
        problem = Violation("--trust", "write OWNER=KEY, the key in base64 as `fragua dataset keygen` prints it")
        raise InvalidInput("cannot trust that key", violations=[problem]) from broken
