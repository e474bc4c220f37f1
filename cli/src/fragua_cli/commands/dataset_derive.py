"""`fragua dataset fix|filter|split|merge`: new versions from others, which stay as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fragua.dataset.v1 import dataset_pb2
from fragua.dataset.v1 import dataset_service_pb2 as calls
from fragua_cli.names import branch_name, dataset_id, dataset_version_name
from fragua_cli.options import BranchOption, RequestIdOption, request_id
from fragua_cli.session import Session, client_command
from fragua_cli.versions import ProfileOption, RowsArgument, VersionArgument, WaitOption, follow_version
from fragua_platform.errors import InvalidInput, Violation

app = typer.Typer()

NameOption = Annotated[
    str,
    typer.Option("--name", "-n", help="The dataset of the new version; the parent's unless given.", show_default=False),
]
FractionOption = Annotated[
    float | None, typer.Option(help="Share that is held out; 0.2 unless given.", show_default=False)
]
SeedOption = Annotated[int, typer.Option(help="Another seed holds out other rows.")]
_FIXERS = tuple(name.removeprefix("FIXER_").lower().replace("_", "-") for name in dataset_pb2.Fixer.keys()[1:])
_REQUIREMENTS = "business-requirements"


@client_command(app, "fix")
async def fix(
    session: Session,
    version: VersionArgument,
    fixer: Annotated[
        list[str] | None, typer.Option("--fixer", help=f"{', '.join(_FIXERS)}; may be repeated.", show_default=False)
    ] = None,
    fix_ids: Annotated[bool, typer.Option("--fix-ids", help="The same as --fixer pad-ids.")] = False,
    convert_to_yaml_strings: Annotated[
        bool, typer.Option("--convert-to-yaml-strings", help="The same as --fixer yaml-strings.")
    ] = False,
    validate: Annotated[
        bool, typer.Option("--validate", help=f"Check what was mended by the profile `{_REQUIREMENTS}`.")
    ] = False,
    profile: ProfileOption = "",
    name: NameOption = "",
    branch: BranchOption = "",
    wait: WaitOption = True,
    given_request_id: RequestIdOption = "",
) -> None:
    """Mend what can be mended, as a new version with the same rows; a file that was INVALID is read again."""
    parent = await dataset_version_name(session.suite, version, branch)
    request = calls.FixDatasetVersionRequest(
        name=parent,
        request_id=request_id(given_request_id),
        dataset=_destination(parent, name),
        fixers=_fixers(fixer or [], fix_ids=fix_ids, convert_to_yaml_strings=convert_to_yaml_strings),
        profile=profile or (_REQUIREMENTS if validate else ""),
    )
    await follow_version(session, await session.suite.call(session.suite.dataset.FixDatasetVersion, request), wait=wait)


@client_command(app, "filter")
async def keep(
    session: Session,
    version: RowsArgument,
    min_score: Annotated[
        float | None, typer.Option(help="The same as --metric score=MIN..", show_default=False)
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=MIN..MAX", help="A number of the rows' metadata; may be repeated.", show_default=False
        ),
    ] = None,
    question_chars: Annotated[
        str, typer.Option(metavar="MIN..MAX", help="Of the first question.", show_default=False)
    ] = "",
    answer_chars: Annotated[str, typer.Option(metavar="MIN..MAX", help="Of the last answer.", show_default=False)] = "",
    profile: Annotated[
        str, typer.Option(help="Leave out rows in which this profile finds an error.", show_default=False)
    ] = "",
    profile_file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="The same with a profile of your own, as YAML.")
    ] = None,
    min_examples: Annotated[int, typer.Option(min=1, help="Fewer kept rows make the version INVALID.")] = 1,
    name: NameOption = "",
    branch: BranchOption = "",
    wait: WaitOption = True,
    given_request_id: RequestIdOption = "",
) -> None:
    """Keep the rows that meet every condition, as a new version; each stays on its side."""
    metrics = dict(_metric(given) for given in metric or [])
    if min_score is not None:
        metrics.setdefault("score", dataset_pb2.Bounds()).min = min_score
    parent = await dataset_version_name(session.suite, version, branch, with_rows=True)
    request = calls.FilterDatasetVersionRequest(
        name=parent,
        request_id=request_id(given_request_id),
        dataset=_destination(parent, name),
        filter=dataset_pb2.RowFilter(
            metrics=metrics,
            question_chars=_bounds("--question-chars", question_chars) if question_chars else None,
            answer_chars=_bounds("--answer-chars", answer_chars) if answer_chars else None,
            profile=profile,
            profile_yaml=profile_file.read_text("utf-8") if profile_file else "",
            min_examples=min_examples,
        ),
    )
    made = await session.suite.call(session.suite.dataset.FilterDatasetVersion, request)
    await follow_version(session, made, wait=wait)


@client_command(app, "split")
async def split(
    session: Session,
    version: RowsArgument,
    validation_fraction: FractionOption = None,
    seed: SeedOption = 0,
    group_field: Annotated[
        str,
        typer.Option(help="Rows with the same value stay on one side; the parent's unless given.", show_default=False),
    ] = "",
    stratum_field: Annotated[
        str, typer.Option(help="Each value is divided by itself; the parent's unless given.", show_default=False)
    ] = "",
    name: NameOption = "",
    branch: BranchOption = "",
    wait: WaitOption = True,
    given_request_id: RequestIdOption = "",
) -> None:
    """Divide the same rows anew, as a new version."""
    parent = await dataset_version_name(session.suite, version, branch, with_rows=True)
    request = calls.SplitDatasetVersionRequest(
        name=parent,
        request_id=request_id(given_request_id),
        dataset=_destination(parent, name),
        validation_fraction=validation_fraction,
        split_seed=seed,
        group_field=group_field,
        stratum_field=stratum_field,
    )
    made = await session.suite.call(session.suite.dataset.SplitDatasetVersion, request)
    await follow_version(session, made, wait=wait)


@client_command(app, "merge")
async def merge(
    session: Session,
    versions: Annotated[
        list[str],
        typer.Argument(metavar="VERSION VERSION…", help="As elsewhere: DATASET, DATASET/VERSION, or full names."),
    ],
    name: Annotated[str, typer.Option("--name", "-n", help="The dataset of the new version.")],
    validation_fraction: FractionOption = None,
    seed: SeedOption = 0,
    profile: ProfileOption = "",
    branch: BranchOption = "",
    wait: WaitOption = True,
    given_request_id: RequestIdOption = "",
) -> None:
    """Join the rows of several versions and divide them anew; of equal rows the first stays."""
    names = [await dataset_version_name(session.suite, version, branch, with_rows=True) for version in versions]
    home = await branch_name(session.suite, branch, implied_by=names[0])
    request = calls.MergeDatasetVersionsRequest(
        parent=f"{home}/datasets/{name}",
        request_id=request_id(given_request_id),
        names=names,
        options=dataset_pb2.ImportOptions(validation_fraction=validation_fraction, split_seed=seed, profile=profile),
    )
    made = await session.suite.call(session.suite.dataset.MergeDatasetVersions, request)
    await follow_version(session, made, wait=wait)


def _destination(parent: str, dataset: str) -> str:
    if not dataset or "/" in dataset:
        return dataset
    return f"{'/'.join(parent.split('/')[:2])}/datasets/{dataset_id(dataset)}"


def _fixers(named: list[str], *, fix_ids: bool, convert_to_yaml_strings: bool) -> list[str]:
    asked = [*named, *(["pad-ids"] if fix_ids else []), *(["yaml-strings"] if convert_to_yaml_strings else [])]
    unknown = [name for name in asked if name not in _FIXERS]
    if unknown or not asked:
        what = f"{', '.join(unknown)}: unknown" if unknown else "none was named"
        problem = Violation("--fixer", f"{what}; there are {', '.join(_FIXERS)}")
        raise InvalidInput("say what is to be mended", violations=[problem])
    return [f"FIXER_{name.upper().replace('-', '_')}" for name in dict.fromkeys(asked)]


def _metric(given: str) -> tuple[str, dataset_pb2.Bounds]:
    name, _, interval = given.partition("=")
    return name, _bounds("--metric", interval)


def _bounds(option: str, interval: str) -> dataset_pb2.Bounds:
    """From `MIN..MAX`, either of which may be left out."""
    least, dots, most = interval.partition("..")
    try:
        if not dots or not (least or most):
            raise ValueError(interval)
        return dataset_pb2.Bounds(min=float(least) if least else None, max=float(most) if most else None)
    except ValueError:
        problem = Violation(option, f"{interval!r} is no interval; write MIN..MAX, MIN.. or ..MAX")
        raise InvalidInput("an interval cannot be read", violations=[problem]) from None
