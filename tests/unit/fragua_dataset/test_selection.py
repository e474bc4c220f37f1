"""A filter keeps the rows that meet every condition, and tells of each other one which it does not meet."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from fragua_dataset.domain.profile import TextLimits
from fragua_dataset.domain.profile_catalog import packaged_profile, parse_profile
from fragua_dataset.domain.selection import Bounds, RowFilter
from fragua_dataset.domain.version_spec import VersionSpec
from fragua_dataset.ingestion.canonical import Row
from fragua_dataset.ingestion.selection import unmet
from fragua_dataset.ingestion.shapes import Example, example_from_row


def row(**fields: Any) -> Row:
    question = {} if {"question", "concept"} & fields.keys() else {"prompt": "¿Qué es un árbol?"}
    answer = {"completion": "Un grafo sin ciclos."} if question else {}
    found = example_from_row(question | answer | fields, VersionSpec())
    assert isinstance(found, Example), found
    return found.as_row()


# R74, R137
@pytest.mark.parametrize(
    ("score", "kept"), [(0.72, True), (0.7199, False), (1, True), (None, False), ("0.9", False), (True, False)]
)
def test_a_metric_of_the_metadata_has_to_be_a_number_within_its_bounds(score: object, kept: bool) -> None:
    row_filter = RowFilter(metrics={"score": Bounds(min=0.72, max=1)})
    assert unmet(row(score=score), row_filter) == (None if kept else "score")


def test_a_row_without_the_metric_is_not_kept() -> None:
    assert unmet(row(), RowFilter(metrics={"score": Bounds(min=0)})) == "score"


def test_lengths_are_those_of_the_question_without_choices_and_of_the_answer() -> None:
    short_question = RowFilter(question=TextLimits(max_chars=10))
    assert unmet(row(question="¿Cuál?", choices=["uno muy largo", "dos"], answer=1), short_question) is None
    assert unmet(row(), short_question) == "question"
    assert unmet(row(), RowFilter(answer=TextLimits(min_chars=21))) == "answer"


def test_the_first_condition_that_is_not_met_is_told() -> None:
    row_filter = RowFilter(metrics={"a": Bounds(min=1), "b": Bounds(min=1)}, answer=TextLimits(min_chars=1000))
    assert [unmet(row(a=a, b=b), row_filter) for a, b in ((0, 0), (1, 0), (1, 1))] == ["a", "b", "answer"]


def test_a_profile_leaves_out_rows_with_an_error_and_keeps_those_with_a_warning() -> None:
    row_filter = RowFilter(profile=packaged_profile("instruct"))
    assert unmet(row(completion="Sí"), row_filter) == "BARE_ANSWER"
    assert unmet(row(completion="Corta"), row_filter) is None


# R137
def test_requirement_records_are_kept_by_their_sections_and_texts() -> None:
    text = (
        "extends: business-requirements\nname: laxo\nrecord: {sections: {non_functional_requirements: {min_items: 1}}}"
    )
    record = {
        "concept": "Pagos",
        "title": "Portal de pagos",
        "description": "Los vecinos pagan sus tasas. " * 4,
        "functional_requirements": "- id: FR001\n- id: FR002",
        "non_functional_requirements": "- id: NFR001",
        "constraints": "- id: C001\n- id: C002",
    }
    assert unmet(row(**record), RowFilter(profile=packaged_profile("business-requirements"))) == "TOO_FEW_ITEMS"
    assert unmet(row(**record), RowFilter(profile=parse_profile(text))) is None
    assert unmet(row(**record | {"title": "Pagos"}), RowFilter(profile=parse_profile(text))) == "TEXT_LENGTH"


def test_bounds_that_keep_nothing_are_refused() -> None:
    with pytest.raises(ValidationError, match="no row can be kept"):
        Bounds(min=2, max=1)
