"""Profiles are data: the packaged ones load by name, a user's own from YAML with every problem told at once."""

from __future__ import annotations

import pytest

from fragua_dataset.domain.problems import ProblemCode, Severity
from fragua_dataset.domain.profile import Profile, TextLimits
from fragua_dataset.domain.profile_catalog import MAX_PROFILE_BYTES, packaged_names, packaged_profile, parse_profile
from fragua_platform.errors import InvalidInput, NotFound


def problems(text: str) -> dict[str, str]:
    with pytest.raises(InvalidInput) as refusal:
        parse_profile(text)
    return {violation.field: violation.description for violation in refusal.value.violations}


def test_each_packaged_profile_loads_by_its_name() -> None:
    assert packaged_names() == ("business-requirements", "instruct", "multiple-choice")
    for name in packaged_names():
        assert packaged_profile(name).name == name


# R182
def test_instruct_takes_no_bare_answers() -> None:
    assert packaged_profile("instruct").severity(ProblemCode.BARE_ANSWER) is Severity.ERROR


# R77, R82, R137
def test_business_requirements_asks_for_two_items_of_each_kind_and_their_ids() -> None:
    rules = packaged_profile("business-requirements").record
    assert rules
    assert {name: (rule.min_items, rule.id_of(1)) for name, rule in rules.sections.items()} == {
        "functional_requirements": (2, "FR001"),
        "non_functional_requirements": (2, "NFR001"),
        "constraints": (2, "C001"),
    }
    assert rules.texts["title"] == TextLimits(min_chars=10, max_chars=100)


def test_an_unknown_name_is_told_with_the_known_ones() -> None:
    for name in ("nada", "../instruct", ""):
        with pytest.raises(NotFound, match="business-requirements, instruct, multiple-choice"):
            packaged_profile(name)


def test_a_users_own_profile_may_say_only_what_differs() -> None:
    own = parse_profile(
        """
        name: mi-perfil
        extends: instruct
        checks: {BARE_ANSWER: off, SECRET: error}
        answer: {min_chars: 3}
        bare_answers: [Nop., "¡SÍ!"]
        """
    )
    base = packaged_profile("instruct")
    assert own.answer == TextLimits(min_chars=3, max_chars=base.answer.max_chars)
    assert own.severity(ProblemCode.BARE_ANSWER) is None
    assert own.severity(ProblemCode.SECRET) is Severity.ERROR
    assert own.severity(ProblemCode.QUESTION_LENGTH) is Severity.WARNING
    assert own.bare_answers == ("nop", "sí")
    assert own.question == base.question


def test_a_profile_by_itself_has_the_defaults() -> None:
    assert parse_profile("name: propio") == Profile(name="propio")


def test_all_problems_of_a_profile_are_told_together() -> None:
    text = """
        name: instruct
        extends: nada
        checks: {INVALID_JSON: off}
        question: {min_chars: 9, max_chars: 3}
        near_duplicate_jaccard: 2
        inventado: 1
        """
    found = problems(text)
    assert found.keys() == {
        "profile.name",
        "profile.extends",
        "profile.checks",
        "profile.question",
        "profile.near_duplicate_jaccard",
        "profile.inventado",
    }
    assert "always an error" in found["profile.checks"]
    assert found["profile.question"] == "min_chars 9 is above max_chars 3: no text fits"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no map"),
        ("- instruct", "no map"),
        ("name: [", "no YAML: line 2, column 1"),
        ("name: a\nname: b", "'name' is there twice"),
        ("a: &a [x]\nb: [*a, *a]", "aliases"),
        ("name: !!python/name:os.system", "tags"),
        ("[" * 60_000, "deeper than 32"),
        ("#" + "ñ" * (MAX_PROFILE_BYTES // 2), f"more than {MAX_PROFILE_BYTES} bytes"),
    ],
)
def test_what_is_no_profile_at_all_is_refused_with_its_reason(text: str, reason: str) -> None:
    assert reason in problems(text)["profile"]
