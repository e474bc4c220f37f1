"""What learners and users do, as commands of `fragua dataset`: attempts, ratings, progress, consolidation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fragua.dataset.v1 import feedback_pb2
from fragua.dataset.v1 import feedback_service_pb2 as calls
from fragua_cli.attempts import send_attempts
from fragua_cli.names import branch_name
from fragua_cli.options import BranchOption, RequestIdOption, request_id
from fragua_cli.output import local_time
from fragua_cli.session import Session, client_command
from fragua_cli.versions import WaitOption, follow_version
from fragua_platform.errors import InvalidInput, Violation

app = typer.Typer()

_CYCLES_SHOWN = 6


@client_command(app, "attempts")
async def attempts(
    session: Session,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="JSON Lines: attempt_id, exercise_type, user_id, accuracy, question, answer; choices, system, "
            "metadata and attempt_time where there are any.",
        ),
    ],
    branch: BranchOption = "",
) -> None:
    """Take in attempts at exercises. An attempt counts once, so a file may be sent again."""
    answer = await send_attempts(session.suite, session.output, file, await branch_name(session.suite, branch))
    if session.output.as_json:
        session.output.document(answer)
        return
    session.output.say(
        f"{answer.received:,} attempts: {answer.accepted:,} became samples, {answer.below_accuracy:,} were below the "
        f"accuracy that the branch asks for, {answer.repeated_attempts:,} were known"
    )


@client_command(app, "rate")
async def rate(
    session: Session,
    stars: Annotated[int, typer.Argument(metavar="STARS", min=1, max=5)],
    concept: Annotated[str, typer.Option(help="What was asked for.")],
    text: Annotated[str, typer.Option("--output", help="What the model wrote.", show_default=False)] = "",
    file: Annotated[
        Path | None,
        typer.Option("--output-file", exists=True, dir_okay=False, help="The same, from a file.", show_default=False),
    ] = None,
    model: Annotated[str, typer.Option(help="Which model wrote it, e.g. an adapter's name.", show_default=False)] = "",
    branch: BranchOption = "",
    given_request_id: RequestIdOption = "",
) -> None:
    """Rate what a model wrote, from 1 to 5 stars; with enough of them it becomes an example."""
    if bool(text) == (file is not None):
        problem = Violation("--output", "give the text, or --output-file with a file; one of the two")
        raise InvalidInput("say what the model wrote", violations=[problem])
    request = calls.RateOutputRequest(
        parent=await branch_name(session.suite, branch),
        output_rating=feedback_pb2.OutputRating(
            concept=concept, output=file.read_text("utf-8") if file else text, rating=stars, model=model
        ),
        request_id=request_id(given_request_id),
    )
    kept = await session.suite.call(session.suite.feedback.RateOutput, request)
    if session.output.as_json:
        session.output.document(kept)
        return
    fate = "in the pool for the next consolidation" if kept.pooled else "kept, with too few stars for the pool"
    session.output.say(f"{kept.name}: {fate}")


@client_command(app, "progress")
async def progress(session: Session, branch: BranchOption = "") -> None:
    """Show what a branch has gathered: samples by exercise type, accuracy by cycle, rated outputs."""
    parent = await branch_name(session.suite, branch)
    request = calls.GetBranchProgressRequest(name=f"{parent}/progress")
    found = await session.suite.call(session.suite.feedback.GetBranchProgress, request)
    if session.output.as_json:
        session.output.document(found)
        return
    if not found.exercise_types:
        session.output.say("[dim]no attempt yet: `fragua dataset attempts FILE`[/dim]")
    else:
        session.output.table(
            {
                "EXERCISE TYPE": [each.exercise_type for each in found.exercise_types],
                "SAMPLES": [f"{each.samples:,}" for each in found.exercise_types],
                "NEW": [f"{each.new_samples:,}" for each in found.exercise_types],
                "BELOW": [f"{each.below_accuracy:,}" for each in found.exercise_types],
                "MEAN ACCURACY": [f"{each.mean_accuracy:.1%}" for each in found.exercise_types],
            }
        )
    if found.cycles:
        shown = found.cycles[:_CYCLES_SHOWN]
        session.output.table(
            {
                "CYCLE ENDED": [local_time(cycle.end_time) for cycle in shown],
                "ATTEMPTS": [f"{cycle.attempts:,}" for cycle in shown],
                "MEAN ACCURACY": [f"{cycle.mean_accuracy:.1%}" for cycle in shown],
            }
        )
    session.output.say(f"{found.rated_outputs:,} outputs rated, {found.pooled_outputs:,} wait in the pool")


@client_command(app, "consolidate")
async def consolidate(
    session: Session,
    exercise_type: Annotated[
        str, typer.Argument(metavar="[TYPE]", help="Only this exercise type.", show_default=False)
    ] = "",
    branch: BranchOption = "",
    wait: WaitOption = True,
    given_request_id: RequestIdOption = "",
) -> None:
    """Make a version of every exercise type with new samples, and one of the pool."""
    request = calls.ConsolidateSamplesRequest(
        parent=await branch_name(session.suite, branch),
        exercise_type=exercise_type,
        request_id=request_id(given_request_id),
    )
    answer = await session.suite.call(session.suite.feedback.ConsolidateSamples, request)
    if not answer.dataset_versions:
        session.output.say("nothing new since the last consolidation")
    for version in answer.dataset_versions:
        await follow_version(session, version, wait=wait)
