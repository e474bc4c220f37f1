"""Subjects and their wildcards, as NATS reads them."""

from __future__ import annotations

import pytest

from fragua_platform.errors import InvalidInput
from fragua_platform.events.subjects import matches, require_patterns


@pytest.mark.parametrize(
    ("pattern", "subject", "expected"),
    [
        ("a.b.c", "a.b.c", True),
        ("a.b.c", "a.b", False),
        ("a.b", "a.b.c", False),
        ("a.*.c", "a.b.c", True),
        ("a.*", "a.b.c", False),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        ("*.b.>", "a.b.c.d", True),
        (">", "a", True),
    ],
)
def test_a_star_is_one_token_and_a_greater_sign_is_the_rest(pattern: str, subject: str, expected: bool) -> None:
    assert matches(pattern, subject) is expected


@pytest.mark.parametrize(
    "subjects",
    [
        ("fragua.v1.a.>", "fragua.v1.b.>"),
        ("fragua.v1.*.trainer.job.failed", "fragua.v1.*.trainer.job.succeeded"),
        ("fragua.v1.*.trainer", "fragua.v1.*.trainer.job"),
    ],
)
def test_subjects_apart_from_each_other_are_taken(subjects: tuple[str, ...]) -> None:
    assert require_patterns(subjects, "fragua.v1") == list(subjects)


@pytest.mark.parametrize(
    "subjects",
    [
        ("fragua.v1.>", "fragua.v1.a.trainer"),
        ("fragua.v1.*.trainer", "fragua.v1.a.*"),
        ("fragua.v1.a.b", "fragua.v1.a.b"),
    ],
)
def test_subjects_that_share_an_event_are_refused(subjects: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput, match="overlap"):
        require_patterns(subjects, "fragua.v1")
