"""`fragua adapter`: a branch's line of adapters, counted 1, 2, 3."""

from __future__ import annotations

import typer

from fragua.trainer.v1 import trainer_pb2
from fragua.trainer.v1 import trainer_service_pb2 as calls
from fragua_cli.commands.job_verbs import NameArgument, first
from fragua_cli.names import branch_name, resource_name
from fragua_cli.options import BranchOption, LimitOption
from fragua_cli.output import local_time
from fragua_cli.session import Session, client_command
from fragua_cli.suite import all_pages

app = typer.Typer()


@client_command(app, "list")
async def list_adapters(session: Session, branch: BranchOption = "", limit: LimitOption = 20) -> None:
    """List a branch's adapters, newest first, with their last evaluation."""
    suite = session.suite
    parent = await branch_name(suite, branch)
    pages = all_pages(
        lambda token: suite.call(
            suite.trainer.ListAdapters, calls.ListAdaptersRequest(parent=parent, page_token=token)
        ),
        "adapters",
    )
    found, more = await first(pages, limit)
    columns = {
        "NAME": [adapter.name for adapter in found],
        "STATE": [trainer_pb2.AdapterState.Name(each.state).removeprefix("ADAPTER_STATE_") for each in found],
        "LOSS": [f"{adapter.final_loss:.3g}" if adapter.HasField("bundle") else "" for adapter in found],
        "BASE → TUNED": [_last_score(adapter) for adapter in found],
        "CREATED": [local_time(adapter.create_time) for adapter in found],
    }
    session.output.listing(found, columns, nothing="no adapter yet: `fragua train start`", more=more)


@client_command(app, "show")
async def show(session: Session, name: NameArgument, branch: BranchOption = "") -> None:
    """Show one adapter, whole."""
    suite = session.suite
    request = calls.GetAdapterRequest(name=await resource_name(suite, "adapters", name, branch))
    session.output.document(await suite.call(suite.trainer.GetAdapter, request))


def _last_score(adapter: trainer_pb2.Adapter) -> str:
    if not adapter.scores:
        return ""
    score = adapter.scores[0]
    said = " ".join(part for part in (score.metric, score.verdict, score.verification_status) if part)
    return f"{score.base_score:.1%} → {score.tuned_score:.1%} {said}"
