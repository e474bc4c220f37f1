"""The audit counts what is wrong with the records of one side, in the words of those who fix them."""

from __future__ import annotations

import json
from typing import Any

from fragua_dataset.domain.audit import AuditReport
from fragua_dataset.domain.profile_catalog import packaged_profile
from fragua_dataset.domain.version_spec import VersionSpec
from fragua_dataset.ingestion.audit import Audit
from fragua_dataset.ingestion.checks import check_example
from fragua_dataset.ingestion.shapes import Example, example_from_row

PROFILE = packaged_profile("business-requirements")
GOOD: dict[str, Any] = {
    "concept": "Pagos",
    "title": "Portal de pagos",
    "description": "Los vecinos pagan sus tasas. " * 4,
    "functional_requirements": "- id: FR001\n- id: FR002",
    "non_functional_requirements": "- id: NFR001\n- id: NFR002",
    "constraints": "- id: C001\n- id: C002",
}


def audit(*rows: dict[str, Any]) -> AuditReport:
    audit = Audit(PROFILE.record)
    for fields in rows:
        example = example_from_row(fields, VersionSpec())
        assert isinstance(example, Example), example
        audit.add(example.as_row(), [flaw.code for flaw in check_example(example, PROFILE)])
    return audit.report()


# R77, R78
def test_the_report_has_the_counts_that_fixing_goes_by() -> None:
    report = audit(
        GOOD,
        GOOD | {"functional_requirements": "- id: FR01\n- id: FR02\n- id: FR02"},
        GOOD | {"constraints": "- id: C01\n- id: FR02", "non_functional_requirements": "- id: NFR001"},
        GOOD | {"constraints": "- ["},
    )
    assert (
        json.loads(report.model_dump_json()).items()
        >= {
            "total_examples": 4,
            "id_format_issues": {"count": 5, "affected_ids": ["FR01", "FR02", "C01"]},
            "min_requirements_violations": 1,
            "yaml_validation_errors": 1,
            "valid_examples": 1,
        }.items()
    )
    assert report.findings_by_code == {
        "DUPLICATE_ID": 1,
        "ID_FORMAT": 5,
        "ID_SEQUENCE": 1,
        "INVALID_YAML": 1,
        "TOO_FEW_ITEMS": 1,
    }


def test_completeness_is_the_share_of_records_that_fill_a_field() -> None:
    bare = {"concept": "Pagos", "title": "", "functional_requirements": "- id: FR001"}
    chat = {"prompt": "¿Qué es?", "completion": "Una tasa."}
    assert audit(GOOD, bare, chat).field_completeness == {
        "concept": 1.0,
        "title": 0.5,
        "description": 0.5,
        "functional_requirements": 1.0,
        "non_functional_requirements": 0.5,
        "constraints": 0.5,
    }


def test_rows_that_are_no_records_are_counted_but_have_no_fields() -> None:
    report = audit({"prompt": "¿Qué es?", "completion": "Una tasa."})
    assert (report.total_examples, report.valid_examples, report.field_completeness) == (1, 1, {})


def test_the_first_thousand_wrong_ids_are_listed_and_all_are_counted() -> None:
    rows = [GOOD | {"constraints": "\n".join(f"- id: X{n * 300 + k}" for k in range(300))} for n in range(4)]
    report = audit(*rows)
    assert report.id_format_issues.count == 1200
    assert report.id_format_issues.affected_ids == [f"X{n}" for n in range(1000)]
