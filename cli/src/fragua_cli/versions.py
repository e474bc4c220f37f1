"""What the commands about dataset versions share: naming one, following one to its end, listing its problems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer
from rich.markup import escape

from fragua.common.v1 import job_pb2
from fragua.dataset.v1 import dataset_pb2
from fragua.dataset.v1 import dataset_service_pb2 as calls
from fragua_cli.commands.job_verbs import first
from fragua_cli.exits import ExitCode
from fragua_cli.following import follow
from fragua_cli.jobs import dataset_versions
from fragua_cli.outcomes import show_failure
from fragua_cli.output import as_dict
from fragua_cli.session import Session
from fragua_cli.suite import all_pages

RowsArgument = Annotated[
    str,
    typer.Argument(
        metavar="VERSION", help="DATASET (its newest version that has rows), DATASET/VERSION, or the full name."
    ),
]
VersionArgument = Annotated[
    str, typer.Argument(metavar="VERSION", help="DATASET (its newest version), DATASET/VERSION, or the full name.")
]
WaitOption = Annotated[bool, typer.Option("--wait/--no-wait", help="Follow validation to its end.")]
ProfileOption = Annotated[
    str,
    typer.Option(
        "--profile",
        help="Which checks: `instruct`, `multiple-choice`, `business-requirements`; the branch's own unless given.",
        show_default=False,
    ),
]

_PROBLEMS_SHOWN = 20


async def follow_version(
    session: Session, version: dataset_pb2.DatasetVersion, *, wait: bool, label: str = "checking rows"
) -> None:
    """Show what was ordered, or what became of it; leaves with the exit code for what went wrong."""
    if not wait:
        session.output.document(version)
        return
    await follow_to_end(session, version.name, label)


async def follow_to_end(session: Session, name: str, label: str = "checking rows") -> None:
    version = await follow(session.output, label, dataset_versions(session.suite).watch(name))
    match version.status.state:
        case job_pb2.JOB_STATE_SUCCEEDED:
            _tell_success(session, version)
        case job_pb2.JOB_STATE_CANCELLED:
            session.output.say(f"{name} was [yellow]cancelled[/yellow]")
            raise typer.Exit(ExitCode.CANCELLED)
        case _:
            listed = version.problem_count > 0 and not session.output.as_json
            show_failure(session.output, name, version.status, with_violations=not listed)
            if listed:
                await list_problems(session, name, _PROBLEMS_SHOWN, shown_by=f"`fragua dataset problems {name}`")
            at_fault = version.status.failure_class == job_pb2.FAILURE_CLASS_USER_DATA
            raise typer.Exit(ExitCode.REFUSED if at_fault else ExitCode.FAILED)


def _tell_success(session: Session, version: dataset_pb2.DatasetVersion) -> None:
    output = session.output
    output.say(
        f"{version.name} is [green]{version_state(version)}[/green]: {version.train_row_count:,} rows to train on, "
        f"{version.validation_row_count:,} held out"
    )
    if version.HasField("fixes"):
        output.say(f"  {version.fixes.rows_changed:,} rows were mended{_counted(version.fixes.changes_by_fixer)}")
    if version.HasField("selection"):
        left_out = _counted(version.selection.rows_left_out) or " none"
        output.say(f"  {version.selection.rows_kept:,} rows were kept; left out{left_out}")
    for report in version.truncation:
        output.say(
            f"  at {report.max_length:,} tokens of {escape(report.tokenizer)}: {report.rows_cut:,} rows are cut, "
            f"{report.rows_without_answer:,} lose their answer; the longest has {report.longest:,}"
        )
    if version.problem_count:
        output.say(f"  {version.problem_count:,} warnings: `fragua dataset problems {version.name}`")
    if version.state == dataset_pb2.DATASET_VERSION_STATE_AWAITING_APPROVAL:
        output.say(f"  look at it with `fragua dataset sample {version.name}`, then `approve` or `reject` it")


def _counted(counts: Mapping[str, int]) -> str:
    """`: pad-ids 12, trim 3`; the most first."""
    pairs = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ": " + ", ".join(f"{escape(name)} {count:,}" for name, count in pairs) if pairs else ""


async def list_problems(session: Session, name: str, limit: int, *, shown_by: str = "--limit") -> None:
    """The first ones by line, and how many there are of each code."""
    suite = session.suite
    counts: dict[str, int] = {}

    async def page(token: str) -> calls.ListDatasetProblemsResponse:
        request = calls.ListDatasetProblemsRequest(parent=name, page_token=token)
        answer = await suite.call(suite.dataset.ListDatasetProblems, request)
        counts.update(answer.count_by_code)
        return answer

    found, more = await first(all_pages(page, "problems"), limit)
    if session.output.as_json:
        listed = [as_dict(problem) for problem in found]
        session.output.document({"problems": listed, "countByCode": counts, "more": more})
        return
    columns = {
        "LINE": [str(problem.line or "") for problem in found],
        "POINTER": [escape(problem.pointer) for problem in found],
        "CODE": [problem.code for problem in found],
        "PROBLEM": [escape(problem.message) for problem in found],
        "WAY OUT": [escape(problem.hint) for problem in found],
    }
    session.output.listing(found, columns, nothing="no problems", more=more, shown_by=shown_by)
    if counts:
        session.output.say(f"all together{_counted(counts)}")


def version_state(version: dataset_pb2.DatasetVersion) -> str:
    return dataset_pb2.DatasetVersionState.Name(version.state).removeprefix("DATASET_VERSION_STATE_")


def origin_of(version: dataset_pb2.DatasetVersion) -> str:
    return dataset_pb2.DatasetOrigin.Name(version.origin).removeprefix("DATASET_ORIGIN_").lower()
