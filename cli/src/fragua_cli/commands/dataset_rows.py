"""`fragua dataset rows|sample|audit|diff`: look into versions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.markup import escape

from fragua.dataset.v1 import dataset_pb2
from fragua.dataset.v1 import dataset_service_pb2 as calls
from fragua_cli.commands.job_verbs import first
from fragua_cli.names import dataset_version_name
from fragua_cli.options import BranchOption
from fragua_cli.output import as_dict
from fragua_cli.session import Session, client_command
from fragua_cli.suite import all_pages
from fragua_cli.versions import RowsArgument, VersionArgument

app = typer.Typer()

_READ_SECONDS: Final = 600.0
"""The first look into a version fetches and verifies its files, which may have gigabytes."""
_CELL: Final = 160
_IDS_SHOWN: Final = 20
_COUNTS: Final[Mapping[str, Callable[[dataset_pb2.DatasetAudit], int]]] = {
    "examples": lambda audit: audit.total_examples,
    "examples without any finding": lambda audit: audit.valid_examples,
    "ids in another format": lambda audit: audit.id_format_issues.count,
    "records with too few items": lambda audit: audit.min_requirements_violations,
    "records with invalid YAML": lambda audit: audit.yaml_validation_errors,
}
_AUDIT_FILES: Final = {"train": "train_audit_report.json", "validation": "val_audit_report.json"}


class Side(StrEnum):
    TRAIN = "train"
    VALIDATION = "validation"


_SIDES: Final = {
    None: dataset_pb2.DATASET_SIDE_UNSPECIFIED,
    Side.TRAIN: dataset_pb2.DATASET_SIDE_TRAIN,
    Side.VALIDATION: dataset_pb2.DATASET_SIDE_VALIDATION,
}

SideOption = Annotated[Side | None, typer.Option(help="One side only; both unless given.", show_default=False)]
RowLimitOption = Annotated[int, typer.Option("--limit", min=1, help="Rows at most, in the order of the version.")]


@client_command(app, "rows")
async def rows(
    session: Session,
    version: RowsArgument,
    branch: BranchOption = "",
    side: SideOption = None,
    limit: RowLimitOption = 20,
) -> None:
    """List the rows of a version. With --json: whole."""
    name = await dataset_version_name(session.suite, version, branch, with_rows=True)
    method = partial(session.suite.dataset.ListDatasetRows, timeout=_READ_SECONDS)

    def page(token: str) -> Any:
        request = calls.ListDatasetRowsRequest(
            parent=name, side=_SIDES[side], page_size=min(limit + 1, 500), page_token=token
        )
        return session.suite.call(method, request)

    found, more = await first(all_pages(page, "rows"), limit)
    session.output.listing(found, _columns(found), nothing="no rows", more=more)


@client_command(app, "sample")
async def sample(
    session: Session,
    version: RowsArgument,
    branch: BranchOption = "",
    size: Annotated[int, typer.Option(min=0, max=500, help="The branch policy's number of rows when 0.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed shows the same rows.")] = 0,
) -> None:
    """Show rows by chance, as a reviewer looks at them. With --json: whole."""
    name = await dataset_version_name(session.suite, version, branch, with_rows=True)
    method = partial(session.suite.dataset.SampleDatasetRows, timeout=_READ_SECONDS)
    answer = await session.suite.call(method, calls.SampleDatasetRowsRequest(name=name, size=size, seed=seed))
    if session.output.as_json:
        session.output.document(answer)
        return
    session.output.table(_columns(answer.rows))
    session.output.say(
        f"[dim]`fragua dataset approve {escape(name)} --sample-seed {seed} --sample-size {len(answer.rows)} --reason …` "
        "says that these were looked at[/dim]"
    )


@client_command(app, "audit")
async def audit(
    session: Session,
    version: VersionArgument,
    branch: BranchOption = "",
    side: SideOption = None,
    out: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Write the report of each side into this folder.", show_default=False),
    ] = None,
) -> None:
    """Tell what is wrong with a version's requirement records; also with one that is INVALID."""
    name = await dataset_version_name(session.suite, version, branch)
    if out:
        await _write_reports(session, name, out)
        return
    found = await _audit(session, name, side)
    if session.output.as_json:
        session.output.document(audit_report(found))
        return
    columns = {side.value: found} if side else {each.value: await _audit(session, name, each) for each in Side}
    codes, fields = sorted(found.findings_by_code), sorted(found.field_completeness)
    table = {"FINDING": [*_COUNTS, *codes, *(f"records with {field}" for field in fields)]}
    for title, audited in columns.items():
        table[title.upper()] = [
            *(f"{count(audited):,}" for count in _COUNTS.values()),
            *(f"{audited.findings_by_code.get(code, 0):,}" for code in codes),
            *(f"{audited.field_completeness.get(field, 0):.1%}" for field in fields),
        ]
    session.output.table(table)
    if ids := found.id_format_issues.affected_ids:
        more = " …" if len(ids) > _IDS_SHOWN else ""
        session.output.say(f"[dim]ids in another format: {escape(', '.join(ids[:_IDS_SHOWN]))}{more}[/dim]")


@client_command(app, "diff")
async def diff(
    session: Session,
    base: VersionArgument,
    target: Annotated[str, typer.Argument(metavar="VERSION", help="The one to compare it with.")],
    branch: BranchOption = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Rows at most.")] = 50,
) -> None:
    """Tell what differs between two versions, row by row and field by field."""
    suite = session.suite
    names = [await dataset_version_name(suite, each, branch) for each in (base, target)]
    method = partial(suite.dataset.DiffDatasetVersions, timeout=_READ_SECONDS)
    counts = calls.DiffDatasetVersionsResponse()

    async def page(token: str) -> calls.DiffDatasetVersionsResponse:
        request = calls.DiffDatasetVersionsRequest(
            base=names[0], target=names[1], page_size=min(limit + 1, 500), page_token=token
        )
        answer = await suite.call(method, request)
        counts.CopyFrom(answer)
        return answer

    found, more = await first(all_pages(page, "rows"), limit)
    if session.output.as_json:
        del counts.rows[:]
        counts.next_page_token = ""
        session.output.document(as_dict(counts) | {"rows": [as_dict(row) for row in found], "more": more})
        return
    session.output.say(
        f"{counts.changed:,} changed, {counts.added:,} added, {counts.removed:,} removed, {counts.moved:,} on the "
        f"other side of the split, {counts.unchanged:,} as they were"
    )
    lines = [line for row in found for line in _diff_lines(row)]
    if lines:
        header = ("CHANGE", "ROW", "FIELD", "BEFORE", "AFTER")
        session.output.table(dict(zip(header, map(list, zip(*lines, strict=True)), strict=True)))
    if more:
        session.output.say("[dim]there are more; --limit shows them[/dim]")


def audit_report(found: dataset_pb2.DatasetAudit) -> dict[str, Any]:
    """The report as audits of requirement records have always been written."""
    return {
        "total_examples": found.total_examples,
        "id_format_issues": {
            "count": found.id_format_issues.count,
            "affected_ids": list(found.id_format_issues.affected_ids),
        },
        "min_requirements_violations": found.min_requirements_violations,
        "yaml_validation_errors": found.yaml_validation_errors,
        "valid_examples": found.valid_examples,
        "field_completeness": dict(sorted(found.field_completeness.items())),
        "findings_by_code": dict(sorted(found.findings_by_code.items())),
    }


async def _audit(session: Session, name: str, side: Side | None) -> dataset_pb2.DatasetAudit:
    request = calls.GetDatasetAuditRequest(name=name, side=_SIDES[side])
    return await session.suite.call(session.suite.dataset.GetDatasetAudit, request)


async def _write_reports(session: Session, name: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for side in Side:
        text = json.dumps(audit_report(await _audit(session, name, side)), ensure_ascii=False, indent=2)
        path = folder / _AUDIT_FILES[side]
        await asyncio.to_thread(path.write_text, text + "\n", "utf-8")
        session.output.say(escape(str(path)))
    if session.output.as_json:
        files = [str((folder / file).resolve()) for file in _AUDIT_FILES.values()]
        session.output.document({"datasetVersion": name, "files": files})


def _columns(found: Sequence[dataset_pb2.DatasetRow]) -> dict[str, list[str]]:
    return {
        "ID": [row.id for row in found],
        "SIDE": [_side_name(row.side) for row in found],
        "TURNS": [str(sum(message.role == "assistant" for message in row.messages)) for row in found],
        "QUESTION": [_cell(next(each.content for each in row.messages if each.role == "user")) for row in found],
        "ANSWER": [_cell(row.messages[-1].content) for row in found],
    }


def _diff_lines(row: dataset_pb2.DatasetRowDiff) -> Iterator[tuple[str, ...]]:
    change = dataset_pb2.DatasetRowDiff.Change.Name(row.change).removeprefix("CHANGE_").lower()
    start = (change, row.target_id or row.base_id)
    if row.base_side and row.target_side and row.base_side != row.target_side:
        yield (*start, "side", _side_name(row.base_side), _side_name(row.target_side))
    elif not row.fields:
        yield (*start, "", "", "")
    for field in row.fields:
        yield (*start, escape(field.pointer), *_differing_cells(field.before, field.after))


def _differing_cells(before: str, after: str) -> tuple[str, str]:
    """Both from shortly before they begin to differ."""
    same = next((place for place, (old, new) in enumerate(zip(before, after, strict=False)) if old != new), 0)
    start = max(same - _CELL // 4, 0)
    mark = "…" if start else ""
    return _cell(mark + before[start:]), _cell(mark + after[start:])


def _cell(text: str) -> str:
    """The begin of a text, on one line."""
    line = " ".join(text.split())
    return escape(line if len(line) <= _CELL else f"{line[: _CELL - 1]}…")


def _side_name(side: dataset_pb2.DatasetSide) -> str:
    return dataset_pb2.DatasetSide.Name(side).removeprefix("DATASET_SIDE_").lower()
