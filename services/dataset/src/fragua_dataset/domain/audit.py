"""The audit of a version: what is wrong with its requirement records, in the words of those who fix them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from fragua_dataset.domain.problems import ProblemCode


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class IdFormatIssues(_Frozen):
    count: int = Field(ge=0)
    affected_ids: list[str]
    """The ids as they are written, each once, in order of appearance; the first thousand."""


class AuditReport(_Frozen):
    """`outputs/train_audit_report.json` and `outputs/validation_audit_report.json`, one for each side of the split."""

    total_examples: int
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
