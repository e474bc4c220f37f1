"""Requirement records are held against their profile: texts, sections, ids, and YAML that nobody trusts."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fragua_dataset.domain.profile import RecordRules, SectionRule, TextLimits
from fragua_dataset.domain.profile_catalog import packaged_profile
from fragua_dataset.ingestion.checks.records import check_record, item_id, wrong_ids
from fragua_platform.yaml_text import InvalidYaml, read_yaml, write_yaml

ONE_SECTION = RecordRules(sections={"requisitos": SectionRule(min_items=2, id_prefix="FR")})


def codes(section: Any) -> list[str]:
    return [flaw.code for flaw in check_record({"requisitos": section}, ONE_SECTION)]


# R12, R77, R82, R137
def test_a_complete_record_has_no_flaw() -> None:
    rules = packaged_profile("business-requirements").record
    assert rules
    items = "- id: {0}001\n  description: El sistema responderá en 2 s\n- id: {0}002\n  description: Otra"
    record = {
        "concept": "Pagos",
        "title": "Portal de pagos",
        "description": "Los vecinos pagan sus tasas. " * 4,
        "functional_requirements": items.format("FR"),
        "non_functional_requirements": items.format("NFR"),
        "constraints": items.format("C"),
    }
    assert list(check_record(record, rules)) == []
    assert [
        (flaw.code, flaw.pointer) for flaw in check_record({"title": "Corto", "description": ""}, rules, "/record")
    ] == [
        ("TEXT_LENGTH", "/record/title"),
        ("TEXT_LENGTH", "/record/description"),
        ("TOO_FEW_ITEMS", "/record/functional_requirements"),
        ("TOO_FEW_ITEMS", "/record/non_functional_requirements"),
        ("TOO_FEW_ITEMS", "/record/constraints"),
    ]


@pytest.mark.parametrize(("length", "fits"), [(9, False), (10, True), (100, True), (101, False)])
def test_a_title_has_ten_to_a_hundred_characters(length: int, fits: bool) -> None:
    rules = RecordRules(texts={"title": TextLimits(min_chars=10, max_chars=100)})
    assert (list(check_record({"title": "ñ" * length}, rules)) == []) is fits


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("- id: FR001\n- id: FR002", []),
        ("- FR001: El sistema paga\n- FR002: El sistema cobra", []),
        ("- 'FR001. El sistema paga'\n- 'FR002) El sistema cobra'", []),
        ("- id: FR001", ["TOO_FEW_ITEMS"]),
        ("", ["TOO_FEW_ITEMS"]),
        (None, ["TOO_FEW_ITEMS"]),
        ("- id: FR01\n- id: FR02", ["ID_FORMAT", "ID_FORMAT"]),
        ("- id: NFR001\n- id: FR002", ["ID_FORMAT"]),
        ("- sin número\n- id: FR002", ["ID_FORMAT", "ID_SEQUENCE"]),
        ("- id: FR001\n- id: FR001", ["DUPLICATE_ID", "ID_SEQUENCE"]),
        ("- id: FR001\n- id: FR003\n- id: FR004", ["ID_SEQUENCE"]),
        ("- id: FR002\n- id: FR001", ["ID_SEQUENCE"]),
        ("- id: FR001\n  roto: [", ["INVALID_YAML"]),
        ("id: FR001", ["INVALID_YAML"]),
        ("solo una frase", ["INVALID_YAML"]),
        ([{"id": "FR001"}, {"id": "FR002"}], ["NOT_A_YAML_STRING"]),
        ([{"id": "FR01"}], ["NOT_A_YAML_STRING", "TOO_FEW_ITEMS", "ID_FORMAT"]),
        ({"id": "FR001"}, ["NOT_A_YAML_STRING", "INVALID_YAML"]),
        ("- &a {id: FR001}\n- *a", ["INVALID_YAML"]),
    ],
)
def test_what_is_wrong_with_a_section_is_told_by_its_code(section: Any, expected: list[str]) -> None:
    assert codes(section) == expected


def test_rules_of_ids_can_be_turned_off() -> None:
    free = SectionRule(min_items=1)
    assert list(check_record({"a": "- uno\n- dos"}, RecordRules(sections={"a": free}))) == []
    lax = RecordRules(sections=ONE_SECTION.sections, unique_ids=False, sequential_ids=False)
    assert list(check_record({"requisitos": "- id: FR007\n- id: FR007"}, lax)) == []


def test_wrong_ids_are_listed_as_they_are_written() -> None:
    section = "- id: FR01\n- id: FR002\n- id: 3\n- sin id\n- fr-4: x"
    assert wrong_ids({"requisitos": section}, ONE_SECTION) == ["FR01", "3", "fr-4"]
    assert wrong_ids({"requisitos": "- ["}, ONE_SECTION) == wrong_ids({}, ONE_SECTION) == []


@pytest.mark.parametrize(
    ("item", "expected"),
    [({"id": "FR001", "d": 1}, "FR001"), ({"FR001": "x"}, "FR001"), ("FR001: x", "FR001"), ("nada", None), (7, None)],
)
def test_an_item_names_its_id_in_one_of_three_ways(item: Any, expected: str | None) -> None:
    assert item_id(item) == expected


# What a record may hold: JSON.
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(
        st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]) | st.sampled_from("\n ñ:-#'\"😀"), max_size=12
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abñ: #-yno0", max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_what_we_write_as_yaml_reads_as_the_same_for_us_and_for_others(value: Any) -> None:
    text = write_yaml(value)
    assert read_yaml(text) == yaml.safe_load(text) == value


def test_words_that_only_old_yaml_knows_are_texts() -> None:
    assert read_yaml("[no, off, y, 010, 2026-02-30, 1e3, 12:30:00]") == [
        "no",
        "off",
        "y",
        "010",
        "2026-02-30",
        "1e3",
        "12:30:00",
    ]
    assert read_yaml("[true, 10, 2.5, ~]") == [True, 10, 2.5, None]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 60_000, "deeper than 32"),
        ("- " * 40 + "a", "deeper than 32"),
        ("a: &x [1]\nb: *x", "line 2, column 4: aliases"),
        ("a: !!python/object/apply:os.system [ls]", "line 1, column 4: tags"),
        ("a: 1\na: 2", "line 2, column 1: 'a' is there twice"),
        ("[a]: 1", "a key is a list or a map"),
        ("a: 1\n---\nb: 2", "another document"),
        ("a: \x07", "control characters"),
        ("1" * 5000, "limit"),
        ("a: 'sin cerrar", "line 1"),
    ],
)
def test_yaml_that_is_broken_or_hostile_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidYaml, match=reason):
        read_yaml(text)


@given(st.text(st.sampled_from("ab:- \n[]{},&*!|>'\"#?%@`~1.ñ\t"), max_size=60))
def test_every_text_is_yaml_or_refused(text: str) -> None:
    with suppress(InvalidYaml):
        read_yaml(text)
