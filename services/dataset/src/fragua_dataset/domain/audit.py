"""The audit of a version: what is wrong with its requirement records, in the words of those who fix them."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from fragua_dataset.domain.problems import ProblemCode

MOST_LISTED_IDS: Final = 1_000


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class IdFormatIssues(_Frozen):
    count: int = Field(ge=0)
    affected_ids: list[str]
    """The ids as they are written, each once, in order of appearance; the first thousand."""


class AuditReport(_Frozen):
    """`outputs/train_audit_report.json` and `outputs/validation_audit_report.json`, one for each side of the split."""

    total_examples: int
    records: int
    """Examples that are requirement records."""
    id_format_issues: IdFormatIssues
    min_requirements_violations: int
    """Records with too few items in one of their sections."""
    yaml_validation_errors: int
    """Records with a section that does not read as YAML."""
    valid_examples: int
    """Records without any finding, error or warning."""
    field_completeness: dict[str, float]
    """By field of a record: the share of records in which it is there and not empty."""
    findings_by_code: dict[ProblemCode, int]


def both_sides(train: AuditReport, validation: AuditReport) -> AuditReport:
    """The audit of a version as a whole."""
    sides = (train, validation)
    records = train.records + validation.records
    ids = dict.fromkeys(wrong for side in sides for wrong in side.id_format_issues.affected_ids)
    filled: Counter[str] = Counter()
    findings: Counter[ProblemCode] = Counter()
    for side in sides:
        findings.update(side.findings_by_code)
        for name, share in side.field_completeness.items():
            filled[name] += round(share * side.records)
    return AuditReport(
        total_examples=sum(side.total_examples for side in sides),
        records=records,
        id_format_issues=IdFormatIssues(
            count=sum(side.id_format_issues.count for side in sides), affected_ids=[*islice(ids, MOST_LISTED_IDS)]
        ),
        min_requirements_violations=sum(side.min_requirements_violations for side in sides),
        yaml_validation_errors=sum(side.yaml_validation_errors for side in sides),
        valid_examples=sum(side.valid_examples for side in sides),
        field_completeness={name: count / records for name, count in filled.items()},
        findings_by_code=dict(sorted(findings.items())),
    )
