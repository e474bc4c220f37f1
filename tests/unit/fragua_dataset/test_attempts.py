"""What makes an attempt a sample, and a sample a row that the ingestion engine takes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from fragua_dataset.domain.attempts import Attempt, OutputRating, Snapshot, attempt_problems, pooled_row, sample_row
from fragua_dataset.domain.version_spec import VersionSpec
from fragua_dataset.ingestion.shapes import Example, example_from_row

USER = "usuaria-42-ñandú"
OPEN = Snapshot("¿Qué es una raíz?", "El nodo sin padre.", metadata={"level": 3})
CLOSED = Snapshot("¿Capital del Perú?", "B", ("Quito", "B", "Lima"), system="Responde.")


def attempt(snapshot: Snapshot = OPEN, **changes: Any) -> Attempt:
    made = Attempt("intento-1", "open", USER, 0.97, snapshot, datetime(2026, 11, 20, tzinfo=UTC))
    return replace(made, **changes)


def row_of(snapshot: Snapshot) -> Example:
    example = example_from_row(sample_row("intento-1", "open", 0.97, snapshot), VersionSpec())
    assert isinstance(example, Example), example
    return example


# R9
def test_a_sample_becomes_an_example_that_tells_its_attempt_and_type() -> None:
    example = row_of(OPEN)
    assert [(turn["role"], turn["content"]) for turn in example.messages] == [
        ("user", "¿Qué es una raíz?"),
        ("assistant", "El nodo sin padre."),
    ]
    assert example.metadata == {"level": 3, "type": "open", "accuracy": 0.97, "attempt": "intento-1"}


def test_a_choice_that_reads_like_a_letter_is_still_found_by_its_text() -> None:
    example = row_of(CLOSED)
    assert example.facts["answer"] == 1
    assert example.messages[0]["content"] == "Responde."
    assert example.messages[-1]["content"] == "B) B"


# R171
def test_a_rated_output_becomes_an_example_with_its_rating() -> None:
    created = datetime(2026, 11, 20, tzinfo=UTC)
    rating = OutputRating("r1", "ba", "q1", "una panadería", "title: Pan", 5, "branches/ba/adapters/3", True, created)
    example = example_from_row(pooled_row(rating), VersionSpec())
    assert isinstance(example, Example)
    assert example.metadata == {"type": "feedback", "rating": 5, "model": "branches/ba/adapters/3"}
    assert example.messages[-1]["content"] == "title: Pan"


RECORD = """\
title: Pedidos de una panadería
description: Lleva la cuenta de los pedidos de cada mañana, sin papeles.
functional_requirements: [{id: FR001, description: Anotar un pedido}]
non_functional_requirements: [{id: NFR001, description: Funciona sin red}]
constraints: [{id: C001, description: Un solo ordenador}]
"""


# R171
def test_a_rated_output_that_is_a_whole_requirement_record_is_checked_as_one() -> None:
    created = datetime(2026, 11, 20, tzinfo=UTC)
    rating = OutputRating("r1", "ba", "q1", "una panadería", RECORD, 5, "", True, created)
    example = example_from_row(pooled_row(rating), VersionSpec())
    assert isinstance(example, Example)
    assert example.facts["record"]["concept"] == "una panadería"
    assert example.flaws == []
    assert example.metadata == {"type": "feedback", "rating": 5}
    for broken in (RECORD.partition("constraints")[0], RECORD.replace("[{id: C001", "[[{id: C001"), "[]", "5"):
        example = example_from_row(pooled_row(replace(rating, output=broken)), VersionSpec())
        assert isinstance(example, Example)
        assert example.messages[-1]["content"] == broken
        assert "record" not in example.facts


@pytest.mark.parametrize(
    ("broken", "field"),
    [
        (attempt(exercise_type="feedback"), "exercise_type"),
        (attempt(replace(OPEN, question=" \n")), "question"),
        (attempt(replace(OPEN, answer="a\0b")), "answer"),
        (attempt(attempt_id="a\0b"), "attempt_id"),
        (attempt(replace(CLOSED, choices=("B",))), "choices"),
        (attempt(replace(CLOSED, choices=("B", "B"))), "choices"),
        (attempt(replace(CLOSED, choices=("B", " "))), "choices[1]"),
        (attempt(replace(CLOSED, answer="Bogotá")), "answer"),
        (attempt(replace(OPEN, metadata={"by": [{"who": USER}]})), "metadata"),
        (attempt(replace(OPEN, metadata={"note": "a\0b"})), "metadata"),
        (attempt(replace(OPEN, metadata={"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": 1}}}}}}}}})), "metadata"),
    ],
)
def test_what_can_become_no_row_is_refused_by_its_field(broken: Attempt, field: str) -> None:
    assert [problem.field for problem in attempt_problems(broken)] == [field]


def test_all_problems_of_an_attempt_are_told_together_and_quote_nothing_of_it() -> None:
    snapshot = Snapshot(" ", "Bogotá", ("Quito", "Quito"), metadata={"who": USER})
    problems = attempt_problems(attempt(snapshot))
    assert [problem.field for problem in problems] == ["question", "choices", "answer", "metadata"]
    told = "".join(problem.description for problem in problems)
    assert not [secret for secret in (USER, "Bogotá", "Quito") if secret in told]


# R31
def test_an_attempt_that_gets_into_a_log_shows_neither_its_user_nor_its_texts() -> None:
    shown = repr(attempt())
    assert "intento-1" in shown
    assert not [secret for secret in (USER, "raíz", "padre") if secret in shown]


def test_a_sound_attempt_has_no_problems() -> None:
    assert attempt_problems(attempt()) == []
    assert attempt_problems(attempt(CLOSED)) == []
