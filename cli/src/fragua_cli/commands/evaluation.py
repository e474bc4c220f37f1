"""`fragua eval`: base and adapter answer the same held-out questions."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from fragua.evaluator.v1 import evaluator_pb2
from fragua.evaluator.v1 import evaluator_service_pb2 as calls
from fragua_cli.commands.job_verbs import add_job_verbs
from fragua_cli.jobs import evaluations
from fragua_cli.names import branch_name, dataset_version_name, resource_name
from fragua_cli.options import BranchOption, RequestIdOption, ValidateOnlyOption, WatchOption, request_id
from fragua_cli.outcomes import follow_to_success, seconds_taken
from fragua_cli.scores import show_scores
from fragua_cli.session import Session, client_command

app = typer.Typer()


class Metric(StrEnum):
    EXACT_MATCH = "exact_match"
    TOKEN_F1 = "token_f1"
    CONTAINS = "contains"


@client_command(app, "run")
async def start(
    session: Session,
    adapter: Annotated[str, typer.Option("--adapter", "-a", help="Its number, or its full resource name.")],
    branch: BranchOption = "",
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset",
            "-d",
            help="Whose held-out rows ask: DATASET, DATASET/VERSION or full name. The adapter's own unless given.",
            show_default=False,
        ),
    ] = "",
    metric: Annotated[Metric, typer.Option(help="How an answer is scored.")] = Metric.EXACT_MATCH,
    max_items: Annotated[int | None, typer.Option(help="Questions at most [150].", show_default=False)] = None,
    max_new_tokens: Annotated[int | None, typer.Option(help="Tokens per answer [64].", show_default=False)] = None,
    seed: Annotated[int, typer.Option(help="Draws the questions.")] = 0,
    validate_only: ValidateOnlyOption = False,
    watch: WatchOption = True,
    given_request_id: RequestIdOption = "",
) -> None:
    """Evaluate an adapter against its base."""
    suite = session.suite
    adapter_name = await resource_name(suite, "adapters", adapter, branch)
    request = calls.CreateEvaluationRequest(
        parent=await branch_name(suite, branch, implied_by=adapter_name),
        request_id=request_id(given_request_id),
        validate_only=validate_only,
        evaluation=evaluator_pb2.Evaluation(
            adapter=adapter_name,
            dataset_version=await dataset_version_name(suite, dataset, branch, ready=True) if dataset else "",
            metric=f"METRIC_{metric.name}",
            max_items=max_items,
            max_new_tokens=max_new_tokens,
            seed=seed,
        ),
    )
    evaluation = await suite.call(suite.evaluator.CreateEvaluation, request)
    if validate_only or not watch:
        session.output.document(evaluation)
        return
    await _conclude(session, await follow_to_success(session, evaluations(suite), evaluation.name))


async def _conclude(session: Session, evaluation: evaluator_pb2.Evaluation) -> None:
    session.output.say(f"{evaluation.name} [green]succeeded[/green] {seconds_taken(evaluation.status)}")
    show_scores(session.output, evaluation)


def _scores_in_short(evaluation: evaluator_pb2.Evaluation) -> str:
    if not evaluation.HasField("result"):
        return ""
    return f"{evaluation.result.base.score:.1%} → {evaluation.result.tuned.score:.1%}"


add_job_verbs(
    app,
    evaluations,
    columns={"ADAPTER": lambda job: job.adapter.rpartition("/")[2], "BASE → TUNED": _scores_in_short},
    conclude=_conclude,
)
