"""What is wrong with the content of an example is told at its place, as far as the profile wants to know."""

from __future__ import annotations

from typing import Any

import pytest

from fragua_dataset.domain.profile import Profile, TextLimits
from fragua_dataset.domain.profile_catalog import packaged_profile
from fragua_dataset.domain.version_spec import VersionSpec
from fragua_dataset.ingestion.checks import check_example
from fragua_dataset.ingestion.problems import Flaw
from fragua_dataset.ingestion.shapes import Example, example_from_row, example_of_version

EXPLAINED = "Un árbol es un grafo conexo y sin ciclos."


def example(row: dict[str, Any]) -> Example:
    found = example_from_row(row, VersionSpec())
    assert isinstance(found, Example), found
    return found


def flaws(row: dict[str, Any], profile: Profile | None = None) -> list[Flaw]:
    return check_example(example(row), profile or packaged_profile("instruct"))


def places(row: dict[str, Any], profile: Profile | None = None) -> list[tuple[str, str]]:
    return [(flaw.code, flaw.pointer) for flaw in flaws(row, profile)]


def test_an_explained_answer_has_no_flaw() -> None:
    assert flaws({"prompt": "¿Qué es un árbol?", "completion": EXPLAINED}) == []


# R182
@pytest.mark.parametrize(
    "bare", ["Sí", "sí.", "¡SÍ!", "«No»", "  no \n", "yes", "True", "No lo sé.", "I don't know", "si\u0301"]
)
def test_a_bare_yes_or_no_is_no_explanation(bare: str) -> None:
    assert ("BARE_ANSWER", "/completion") in places({"prompt": "¿Es un árbol?", "completion": bare})


@pytest.mark.parametrize(
    "answer", ["Sí, porque es conexo.", "No: tiene un ciclo.", "Nora", "No lo sé explicar sin dibujo."]
)
def test_an_answer_that_begins_with_yes_or_no_is_not_bare(answer: str) -> None:
    assert "BARE_ANSWER" not in [code for code, _ in places({"prompt": "¿Es un árbol?", "completion": answer})]


def test_the_letter_of_a_choice_with_its_text_is_a_whole_answer() -> None:
    row = {"question": "¿Es conexo un árbol?", "choices": ["sí", "no"], "answer": 0}
    assert flaws(row) == flaws(row, packaged_profile("multiple-choice")) == []


# R14
def test_lengths_are_told_with_the_limits_that_they_break() -> None:
    limits = TextLimits(min_chars=5, max_chars=20)
    profile = Profile(name="breve", question=limits, answer=limits)
    short = flaws({"instruction": " ¿Y? ", "output": " Ya. "}, profile)
    assert [(flaw.code, flaw.pointer, flaw.message) for flaw in short] == [
        ("QUESTION_LENGTH", "/instruction", "the question has 3 characters, expected at least 5"),
        ("ANSWER_TOO_SHORT", "/output", "the answer has 3 characters, expected at least 5"),
    ]
    long = flaws({"instruction": "¿Qué es?", "output": "a" * 21}, profile)
    assert [flaw.message for flaw in long] == ["the answer has 21 characters, expected at most 20"]


def test_what_a_profile_turns_off_is_not_told() -> None:
    row = {"prompt": "¿Es un árbol?", "completion": "Sí"}
    silent = Profile(name="laxo", checks={"BARE_ANSWER": "off"})  # type: ignore[dict-item]
    assert flaws(row, Profile(name="normal")) != [] == flaws(row, silent)


@pytest.mark.parametrize("broken", ["piÃ±a", "Â¿QuÃ©?", "â€œsÃ\xadâ€\x9d", "Ã\x81rbol", "pi√±a"])
def test_text_that_was_read_wrongly_is_told_at_its_place(broken: str) -> None:
    row = {"prompt": "¿Árbol? «ñandú» – sí", "completion": f"{EXPLAINED} {broken}"}
    assert places(row) == [("MOJIBAKE", "/completion")]


def test_places_are_those_of_the_row_as_its_author_wrote_it() -> None:
    mail = f"{EXPLAINED} Escribe a ana@correo.es."
    chat = [
        {"role": "system", "content": mail},
        {"role": "user", "content": "¿Qué es un árbol?"},
        {"role": "assistant", "content": mail},
        {"role": "user", "content": mail},
        {"role": "assistant", "content": mail},
    ]
    found = [f"/messages/{index}/content" for index in (0, 2, 3, 4)]
    assert [pointer for _, pointer in places({"messages": chat})] == found
    names = {"user": "human", "assistant": "gpt"}
    shared = [{"from": names[turn["role"]], "value": turn["content"]} for turn in chat[1:]]
    in_sharegpt = ["/system", *(f"/conversations/{index}/value" for index in (1, 2, 3))]
    assert [pointer for _, pointer in places({"system": mail, "conversations": shared})] == in_sharegpt
    assert places({"system": mail, "instruction": mail, "output": mail}) == [
        ("PERSONAL_DATA", pointer) for pointer in ("/system", "/instruction", "/output")
    ]


def test_a_row_of_a_version_is_checked_as_well_as_that_of_a_file() -> None:
    imported = example({"prompt": "¿Es?", "completion": "SÃ­, ana@correo.es"})
    found = check_example(example_of_version(imported.as_row()), packaged_profile("instruct"))
    assert [(flaw.code, flaw.pointer) for flaw in found] == [
        ("QUESTION_LENGTH", "/messages/0/content"),
        ("ANSWER_TOO_SHORT", "/messages/1/content"),
        ("MOJIBAKE", "/messages/1/content"),
        ("PERSONAL_DATA", "/messages/1/content"),
    ]


def test_private_data_is_never_quoted() -> None:
    row = {"prompt": "¿Quién es ana@correo.es?", "completion": f"{EXPLAINED} DNI 12345678Z, contraseña='Gr4nada#77'"}
    told = flaws(row)
    assert {flaw.code for flaw in told} == {"PERSONAL_DATA", "SECRET"}
    for flaw in told:
        assert not any(private in flaw.message + flaw.hint for private in ("ana@", "12345678", "Gr4nada"))


def test_private_data_of_a_record_is_told_at_its_field() -> None:
    record = {"concept": "Agenda", "functional_requirements": [{"id": "FR001", "contacto": "ana@correo.es"}]}
    assert ("PERSONAL_DATA", "/functional_requirements") in places(record)
    of_version = example_of_version(example(record).as_row())
    told = check_example(of_version, packaged_profile("instruct"))
    assert "/record/functional_requirements" in [flaw.pointer for flaw in told]
