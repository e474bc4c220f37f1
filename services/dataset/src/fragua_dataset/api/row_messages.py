"""Between the protos about rows, audits and differences and the service's own data."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.struct_pb2 import Struct

from fragua.dataset.v1 import dataset_pb2, dataset_service_pb2
from fragua_dataset.application.comparison import Place
from fragua_dataset.application.row_diffs import RowDiff, VersionDiff
from fragua_dataset.domain.audit import AuditReport
from fragua_dataset.domain.rows import Change, Side, StoredRow

_SIDES: Final[dict[dataset_pb2.DatasetSide, Side | None]] = {
    dataset_pb2.DATASET_SIDE_UNSPECIFIED: None,
    dataset_pb2.DATASET_SIDE_TRAIN: Side.TRAIN,
    dataset_pb2.DATASET_SIDE_VALIDATION: Side.VALIDATION,
}
_EXACT: Final = 2**53
"""Integers beyond it are no numbers of JSON, as a `Struct` has them."""


def side_from_message(side: dataset_pb2.DatasetSide) -> Side | None:
    return _SIDES[side]


def row_to_message(row: StoredRow) -> dataset_pb2.DatasetRow:
    fields = row.fields
    return dataset_pb2.DatasetRow(
        id=fields["id"],
        origin_id=fields.get("origin", fields["id"]),
        side=_side_to_message(row.side),
        messages=[
            dataset_pb2.ChatMessage(role=message["role"], content=message["content"]) for message in fields["messages"]
        ],
        choices=fields.get("choices", ()),
        answer=fields.get("answer"),
        record=_struct(fields["record"]) if "record" in fields else None,
        metadata=_struct(fields["metadata"]),
    )


def audit_to_message(audit: AuditReport) -> dataset_pb2.DatasetAudit:
    return dataset_pb2.DatasetAudit(
        total_examples=audit.total_examples,
        id_format_issues=dataset_pb2.IdFormatIssues(
            count=audit.id_format_issues.count, affected_ids=audit.id_format_issues.affected_ids
        ),
        min_requirements_violations=audit.min_requirements_violations,
        yaml_validation_errors=audit.yaml_validation_errors,
        valid_examples=audit.valid_examples,
        field_completeness=audit.field_completeness,
        findings_by_code={code.value: count for code, count in audit.findings_by_code.items()},
    )


def diff_to_message(diff: VersionDiff) -> dataset_service_pb2.DiffDatasetVersionsResponse:
    counts = diff.counts
    return dataset_service_pb2.DiffDatasetVersionsResponse(
        rows=[_row_diff_to_message(row) for row in diff.rows.items],
        next_page_token=diff.rows.next_token,
        added=counts.get(Change.ADDED, 0),
        removed=counts.get(Change.REMOVED, 0),
        changed=counts.get(Change.CHANGED, 0),
        moved=counts.get(Change.MOVED, 0),
        unchanged=diff.unchanged,
    )


def _row_diff_to_message(row: RowDiff) -> dataset_pb2.DatasetRowDiff:
    base, target = row.difference.base, row.difference.target
    return dataset_pb2.DatasetRowDiff(
        change=f"CHANGE_{row.difference.change}",
        base_id=base.id if base else "",
        target_id=target.id if target else "",
        base_side=_side_of(base),
        target_side=_side_of(target),
        fields=[
            dataset_pb2.FieldDiff(pointer=field.pointer, before=field.before, after=field.after) for field in row.fields
        ],
    )


def _side_of(place: Place | None) -> dataset_pb2.DatasetSide:
    return _side_to_message(place.side if place else None)


def _side_to_message(side: Side | None) -> dataset_pb2.DatasetSide:
    return next(number for number, each in _SIDES.items() if each is side)


def _struct(fields: dict[str, Any]) -> Struct:
    struct = Struct()
    struct.update({name: _plain(value) for name, value in fields.items()})
    return struct


def _plain(value: Any) -> Any:
    """Large integers, such as ids, become text: as numbers they would lose digits."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, int) and abs(value) > _EXACT:
        return str(value)
    return value
