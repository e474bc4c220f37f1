"""What votes are bound to."""

from __future__ import annotations

from fragua_evaluator.domain.report import EvaluationReport
from fragua_evaluator.domain.votes import report_digest
from tests.evaluation_samples import make_evaluation


def test_report_has_the_same_digest_after_it_was_written_and_read() -> None:
    report, _ = make_evaluation(6)

    again = EvaluationReport.model_validate_json(report.model_dump_json(indent=1))

    assert report_digest(again) == report_digest(report)
    assert report_digest(report.model_copy(update={"duration_seconds": 1.0})) != report_digest(report)
