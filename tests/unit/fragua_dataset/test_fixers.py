"""Fixers mend what needs no asking, tell each change, and change nothing in their own result."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fragua_dataset.domain.profile_catalog import packaged_profile
from fragua_dataset.domain.version_spec import Fixer, VersionSpec
from fragua_dataset.ingestion.canonical import Row, id_of
from fragua_dataset.ingestion.checks import check_example
from fragua_dataset.ingestion.fixers import Change, fix_row
from fragua_dataset.ingestion.shapes import Example, example_from_row, example_of_version

ALL = tuple(Fixer)
RECORD: dict[str, Any] = {
    "concept": "Un portal de pagos para ayuntamientos",
    "title": "  Portal de pagos municipales ",
    "description": "Los vecinos pagan tasas en lÃ­nea. FR01 y NFR02 son lo primero; se escribe en C99. " + "Más. " * 10,
    "functional_requirements": [
        {"id": "FR01", "description": "Pagar una tasa, sí o no: «ya»"},
        {"id": "FR02", "description": "Ver el recibo de FR01"},
    ],
    "non_functional_requirements": "  - id: NFR01\n    description: RÃ¡pido\n  - id: NFR02\n    description: Seguro\n",
    "constraints": "- C01: Presupuesto de 10 000 €\n- C02: Plazo de C01, seis meses",
    "score": 0.81,
}


def row_of(fields: dict[str, Any]) -> Row:
    found = example_from_row(fields, VersionSpec())
    assert isinstance(found, Example), found
    return found.as_row()


def fixed(fields: dict[str, Any], *fixers: Fixer) -> tuple[Row, list[Change]]:
    return fix_row(row_of(fields), fixers)


def chat(answer: str) -> dict[str, Any]:
    return {"prompt": "¿Qué es?", "completion": answer}


# R77, R80, R81, R82, R167
def test_all_fixers_together_make_a_poor_record_one_that_its_profile_takes() -> None:
    profile = packaged_profile("business-requirements")
    poor = row_of(RECORD)
    codes = {flaw.code for flaw in check_example(example_of_version(poor), profile)}
    assert codes == {"MOJIBAKE", "NOT_A_YAML_STRING", "ID_FORMAT"}
    row, _ = fix_row(poor, ALL)
    assert check_example(example_of_version(row), profile) == []
    document = yaml.safe_load(row["messages"][-1]["content"])
    assert [item["id"] for item in document["functional_requirements"]] == ["FR001", "FR002"]
    assert [next(iter(item)) for item in document["constraints"]] == ["C001", "C002"]
    assert document["title"] == "Portal de pagos municipales"


# R80
def test_ids_are_padded_where_the_record_names_them_and_nowhere_else() -> None:
    row, changes = fixed(RECORD, Fixer.PAD_IDS)
    record = row["record"]
    assert record["functional_requirements"][1] == {"id": "FR002", "description": "Ver el recibo de FR001"}
    assert "id: NFR001" in record["non_functional_requirements"]
    assert record["constraints"] == "- C001: Presupuesto de 10 000 €\n- C002: Plazo de C001, seis meses"
    assert "FR001 y NFR002 son" in record["description"]
    assert "C99" in record["description"]  # a language, no constraint
    assert {change.pointer for change in changes} == {
        f"/record/{name}"
        for name in ("description", "functional_requirements", "non_functional_requirements", "constraints")
    }


@pytest.mark.parametrize(
    ("section", "padded"),
    [
        ("- id: FR01\n- id: 'FR02'", "- id: FR001\n- id: 'FR002'"),
        ('[{"id": "FR01"}, {id: FR12, ver: [FR01]}]', '[{"id": "FR001"}, {id: FR012, ver: [FR001]}]'),
        ("- FR01: de FR01-FR03\n- FR03. otra", "- FR001: de FR001-FR003\n- FR003. otra"),
        ("- id: FR001\n- ver FR01", "- id: FR001\n- ver FR001"),
        ("- id: FR1\n- id: FR100\n- id: FR0001", "- id: FR1\n- id: FR100\n- id: FR0001"),
        ("- XFR01: a\n- FR01b: b\n- _FR01: c\n- FR01ñ: d", "- XFR01: a\n- FR01b: b\n- _FR01: c\n- FR01ñ: d"),
        ("- id: FR01\n  roto: [", "- id: FR001\n  roto: ["),
    ],
)
def test_only_whole_ids_of_two_digits_are_padded(section: str, padded: str) -> None:
    row, _ = fixed({"concept": "c", "functional_requirements": section}, Fixer.PAD_IDS)
    assert row["record"]["functional_requirements"] == padded


# R81
def test_json_sections_become_yaml_that_says_the_same() -> None:
    items = [
        {"id": "FR001", "texto": "no: «sí»\ny 😀", "prioridad": 1, "fecha": "2026-01-01", "hecho": False, "vacío": None}
    ]
    row, changes = fixed({"concept": "c", "functional_requirements": items}, Fixer.YAML_STRINGS)
    text = row["record"]["functional_requirements"]
    assert yaml.safe_load(text) == items
    assert "😀" in text and "«sí»" in text
    assert [(change.pointer, change.before, change.after) for change in changes] == [
        ("/record/functional_requirements", items, text)
    ]


def test_indentation_that_yaml_and_code_need_survives_trimming() -> None:
    row, _ = fixed(RECORD, Fixer.TRIM)
    assert row["record"]["non_functional_requirements"].startswith("- id: NFR01\n  description:")
    assert yaml.safe_load(row["record"]["non_functional_requirements"])[1]["id"] == "NFR02"
    code, _ = fixed(chat("\n\n    if sí:\n        return 1\n\n"), Fixer.TRIM)
    assert code["messages"][-1]["content"] == "if sí:\n    return 1"


def test_a_choice_and_its_mention_in_the_messages_change_together() -> None:
    fields = {"system": " Elige. ", "question": "Â¿CuÃ¡l? ", "choices": [" ningÃºn Ã¡rbol", "uno "], "answer": 0}
    row, changes = fixed(fields, *ALL)
    assert row["choices"] == ["ningún árbol", "uno"]
    assert [message["content"] for message in row["messages"]] == [
        "Elige.",
        "¿Cuál?\n\nA) ningún árbol\nB) uno",
        "A) ningún árbol",
    ]
    assert row["answer"] == 0
    assert ("/choices/0", "ningÃºn Ã¡rbol", "ningún árbol") not in [(c.pointer, c.before, c.after) for c in changes]
    assert [(c.fixer, c.after) for c in changes if c.pointer == "/choices/0"] == [
        ("repair-mojibake", " ningún árbol"),
        ("trim", "ningún árbol"),
    ]


def test_a_changed_row_has_a_new_id_and_remembers_its_first() -> None:
    first = row_of(chat("piÃ±a "))
    second, _ = fix_row(first, [Fixer.REPAIR_MOJIBAKE])
    third, _ = fix_row(second, [Fixer.TRIM])
    assert second["id"] == id_of(second["messages"]) != first["id"]
    assert "origin" not in first
    assert second["origin"] == third["origin"] == first["id"]


def test_only_the_fixers_that_were_asked_for_change_anything_and_never_the_given_row() -> None:
    row = row_of(RECORD)
    before = copy.deepcopy(row)
    assert fix_row(row, []) == (row, [])
    assert fix_row(row, [Fixer.DROP_DUPLICATES]) == (row, [])
    for fixer in (Fixer.TRIM, Fixer.PAD_IDS, Fixer.YAML_STRINGS, Fixer.REPAIR_MOJIBAKE):
        assert {change.fixer for change in fix_row(row, [fixer])[1]} == {fixer}
    assert row == before


def test_metadata_are_nobodys_business() -> None:
    row, _ = fixed({**chat("a "), "nota": " FR01 piÃ±a "}, *ALL)
    assert row["metadata"] == {"nota": " FR01 piÃ±a "}


# The pieces that fixers look for, put together in every order.
PIECES = st.lists(
    st.sampled_from(
        [
            "FR01",
            "NFR02",
            "C03",
            "C001",
            " ",
            "  ",
            "\n",
            "- ",
            "id: ",
            ": ",
            "[",
            "]",
            "{",
            "}",
            ",",
            "'",
            "Ã±",
            "√±",
            "Â\xa0",
            "â€œ",
            "ÃƒÂ±",
            "\u00c3\u0083\u00c2\u0085",
            "á",
            "ñ",
            "a",
            "|",
            "#",
            "\t",
            "-",
            "😀",
            "|\n",
        ]
    ),
    max_size=14,
).map("".join)
SECTION = PIECES | st.lists(PIECES | st.fixed_dictionaries({"id": PIECES, "d": PIECES}), min_size=1, max_size=3)
TEXT = PIECES.map(lambda text: f"{text}x")
RECORDS = st.fixed_dictionaries(
    {"concept": TEXT},
    optional={"title": TEXT, "description": TEXT, "functional_requirements": SECTION, "constraints": SECTION},
).map(lambda record: {"functional_requirements": "- x", **record})
ROWS = (
    RECORDS
    | st.fixed_dictionaries({"system": TEXT, "prompt": TEXT, "completion": TEXT})
    | st.fixed_dictionaries(
        {"question": TEXT, "choices": st.lists(TEXT, min_size=2, max_size=4, unique=True), "answer": st.just(1)}
    )
)


@settings(max_examples=300, deadline=None)
@given(ROWS, st.sets(st.sampled_from(ALL)).map(tuple))
def test_what_was_fixed_once_stays_as_it_is(fields: dict[str, Any], fixers: tuple[Fixer, ...]) -> None:
    once, changes = fix_row(row_of(fields), fixers)
    twice, more = fix_row(once, fixers)
    assert (twice, more) == (once, [])
    assert bool(changes) == (once != row_of(fields))


@settings(deadline=None)
@given(st.text("abcñáíóú ¿?«»–\nFRNC0123456789():;,.", min_size=1).filter(str.strip))
def test_sound_spanish_loses_at_most_the_space_around_it(text: str) -> None:
    row, _ = fixed(chat(text), *ALL)
    without_indentation = re.sub(r"(?m)^[ ]+|[ ]+$", "", text.strip())
    assert re.sub(r"(?m)^[ ]+|[ ]+$", "", row["messages"][-1]["content"]) == without_indentation
