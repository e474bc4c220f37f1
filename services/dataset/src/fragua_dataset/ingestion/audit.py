"""Counts what is wrong with the rows of one side of a version, in the words of the audit report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from fragua_dataset.domain.audit import MOST_LISTED_IDS, AuditReport, IdFormatIssues
from fragua_dataset.domain.problems import ProblemCode
from fragua_dataset.domain.profile import RecordRules
from fragua_dataset.ingestion.canonical import Row
from fragua_dataset.ingestion.checks.records import wrong_ids
from fragua_dataset.ingestion.requirements import RECORD_FIELDS


class Audit:
    """`rules`: those of the profile that the rows were checked against."""

    def __init__(self, rules: RecordRules | None) -> None:
        self._rules = rules
        self._rows = 0
        self._valid = 0
        self._records = 0
        self._rows_with: Counter[ProblemCode] = Counter()
        self._findings: Counter[ProblemCode] = Counter()
        self._filled: Counter[str] = Counter()
        self._wrong_ids: dict[str, None] = {}
        self._wrong_id_count = 0

    def add(self, row: Row, findings: Collection[ProblemCode]) -> None:
        """`findings`: the code of everything that was found in the row, once for each time."""
        self._rows += 1
        self._valid += not findings
        self._findings.update(findings)
        self._rows_with.update(set(findings))
        record = row.get("record")
        if record is None:
            return
        self._records += 1
        self._filled.update(name for name in RECORD_FIELDS if _is_filled(record.get(name)))
        if self._rules and ProblemCode.ID_FORMAT in findings:
            found = wrong_ids(record, self._rules)
            self._wrong_id_count += len(found)
            for wrong in found:
                if len(self._wrong_ids) < MOST_LISTED_IDS:
                    self._wrong_ids.setdefault(wrong)

    def report(self) -> AuditReport:
        return AuditReport(
            total_examples=self._rows,
            records=self._records,
            id_format_issues=IdFormatIssues(count=self._wrong_id_count, affected_ids=list(self._wrong_ids)),
            min_requirements_violations=self._rows_with[ProblemCode.TOO_FEW_ITEMS],
            yaml_validation_errors=self._rows_with[ProblemCode.INVALID_YAML],
            valid_examples=self._valid,
            field_completeness={name: self._filled[name] / self._records for name in RECORD_FIELDS}
            if self._records
            else {},
            findings_by_code=dict(sorted(self._findings.items())),
        )


def _is_filled(value: object) -> bool:
    return bool(value.strip()) if isinstance(value, str) else bool(value)
