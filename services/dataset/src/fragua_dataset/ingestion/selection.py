"""Tells which condition of a filter a row does not meet."""

from __future__ import annotations

from collections.abc import Mapping

from fragua_dataset.domain.problems import Severity
from fragua_dataset.domain.selection import Bounds, RowFilter
from fragua_dataset.ingestion.canonical import Row
from fragua_dataset.ingestion.checks import check_example
from fragua_dataset.ingestion.shapes import example_of_version


def unmet(row: Row, row_filter: RowFilter) -> str | None:
    """The first condition that the row does not meet: the name of a metric, `question`, `answer`, or a problem code."""
    for name, bounds in row_filter.metrics.items():
        if not _is_within(row["metadata"], name, bounds):
            return name
    example = example_of_version(row)
    if row_filter.question.broken_by(example.question):
        return "question"
    if row_filter.answer.broken_by(example.messages[-1]["content"]):
        return "answer"
    if row_filter.profile:
        for flaw in check_example(example, row_filter.profile):
            if row_filter.profile.severity(flaw.code) is Severity.ERROR:
                return flaw.code.value
    return None


def _is_within(metadata: Mapping[str, object], name: str, bounds: Bounds) -> bool:
    number = metadata.get(name)
    if isinstance(number, bool) or not isinstance(number, int | float):
        return False
    return (bounds.min is None or number >= bounds.min) and (bounds.max is None or number <= bounds.max)
