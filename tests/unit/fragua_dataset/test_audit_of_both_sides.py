"""The audit of a version as a whole, from those of its two sides."""

from __future__ import annotations

from typing import Any

from fragua_dataset.domain.audit import MOST_LISTED_IDS, AuditReport, IdFormatIssues, both_sides
from fragua_dataset.domain.problems import ProblemCode


def report(records: int, ids: list[str], **changes: Any) -> AuditReport:
    given: dict[str, Any] = {
        "total_examples": records + 1,
        "records": records,
        "id_format_issues": IdFormatIssues(count=len(ids), affected_ids=ids),
        "min_requirements_violations": 1,
        "yaml_validation_errors": 2,
        "valid_examples": 3,
        "field_completeness": {},
        "findings_by_code": {},
    }
    return AuditReport(**given | changes)


def test_counts_are_added_and_ids_told_once() -> None:
    train = report(8, ["FR01", "C01"], findings_by_code={ProblemCode.ID_FORMAT: 2, ProblemCode.INVALID_YAML: 1})
    whole = both_sides(train, report(2, ["C01", "FR02"], findings_by_code={ProblemCode.ID_FORMAT: 2}))
    assert (whole.total_examples, whole.records, whole.valid_examples) == (12, 10, 6)
    assert (whole.min_requirements_violations, whole.yaml_validation_errors) == (2, 4)
    assert whole.id_format_issues == IdFormatIssues(count=4, affected_ids=["FR01", "C01", "FR02"])
    assert whole.findings_by_code == {ProblemCode.ID_FORMAT: 4, ProblemCode.INVALID_YAML: 1}


def test_completeness_is_weighed_by_records() -> None:
    whole = both_sides(
        report(8, [], field_completeness={"title": 1.0, "constraints": 0.25}),
        report(2, [], field_completeness={"title": 0.5, "constraints": 1.0}),
    )
    assert whole.field_completeness == {"title": 0.9, "constraints": 0.4}
    assert both_sides(report(0, []), report(0, [])).field_completeness == {}


def test_listed_ids_stay_within_their_limit() -> None:
    many = [f"FR{number}" for number in range(MOST_LISTED_IDS)]
    whole = both_sides(report(1, many), report(1, ["C1"]))
    assert len(whole.id_format_issues.affected_ids) == MOST_LISTED_IDS
    assert whole.id_format_issues.count == MOST_LISTED_IDS + 1
