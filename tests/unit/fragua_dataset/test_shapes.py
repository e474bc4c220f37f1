"""The shapes of a row become one, and what is none is told field by field."""

from typing import Any

import pytest

from fragua_dataset.domain.version_spec import VersionSpec
from fragua_dataset.ingestion.shapes import Example, example_from_row, example_of_version
from fragua_platform.yaml_text import read_yaml


def example(row: dict[str, Any], **spec: Any) -> Example:
    found = example_from_row(row, VersionSpec(**spec))
    assert isinstance(found, Example), found
    return found


def flaws(row: dict[str, Any], **spec: Any) -> list[tuple[str, str]]:
    found = example_from_row(row, VersionSpec(**spec))
    assert isinstance(found, list), found
    return [(flaw.code, flaw.pointer) for flaw in found]


def turns(*roles: str) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": f"{role} dice"} for role in roles]}


# R139, R181
def test_all_shapes_of_one_example_have_one_content_and_one_id() -> None:
    rows: list[dict[str, Any]] = [
        {"instruction": "¿Qué es un árbol?", "input": "", "output": "Un grafo."},
        {"prompt": "¿Qué es un árbol?", "completion": "Un grafo."},
        {
            "messages": [
                {"role": "user", "content": "¿Qué es un árbol?"},
                {"role": "assistant", "content": "Un grafo."},
            ]
        },
        {"conversations": [{"from": "human", "value": "¿Qué es un árbol?"}, {"from": "gpt", "value": "Un grafo."}]},
    ]
    examples = [example(row) for row in rows]
    assert [found.messages for found in examples] == [rows[2]["messages"]] * 4
    assert len({found.id for found in examples}) == 1
    assert len(examples[0].id) == 16


def test_alpaca_input_follows_its_instruction_and_system_comes_first() -> None:
    found = example({"system": "Sé breve.", "instruction": "Resume:", "input": "El texto.", "output": "Ya."})
    assert found.messages == [
        {"role": "system", "content": "Sé breve."},
        {"role": "user", "content": "Resume:\n\nEl texto."},
        {"role": "assistant", "content": "Ya."},
    ]


def test_fields_beside_the_conversation_are_kept_as_metadata() -> None:
    found = example({"prompt": "a", "completion": "b", "source": "libro", "metadata": {"level": 2}})
    assert found.metadata == {"source": "libro", "level": 2}


def test_importing_an_exported_row_gives_the_same_row() -> None:
    first = example({"prompt": "a", "completion": "b", "id": 7})
    again = example(first.as_row())
    assert again.as_row() == first.as_row()


@pytest.mark.parametrize("roles", [("user", "assistant"), ("system", "user", "assistant", "user", "assistant")])
def test_conversations_in_order_are_taken(roles: tuple[str, ...]) -> None:
    assert [message["role"] for message in example(turns(*roles)).messages] == list(roles)


@pytest.mark.parametrize(
    ("roles", "index"),
    [
        (("assistant", "user"), 0),
        (("user", "user"), 1),
        (("user", "system", "assistant"), 1),
        (("user", "assistant", "user"), 2),
        (("system",), 0),
        (("user", "assistant", "assistant"), 2),
    ],
)
def test_a_conversation_out_of_order_is_refused_where_it_breaks(roles: tuple[str, ...], index: int) -> None:
    assert flaws(turns(*roles)) == [("WRONG_ROLE_ORDER", f"/messages/{index}/role")]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, [("UNKNOWN_SHAPE", "")]),
        ({"text": "a"}, [("UNKNOWN_SHAPE", "")]),
        ({"prompt": "a", "messages": []}, [("AMBIGUOUS_SHAPE", "")]),
        ({"prompt": "a"}, [("MISSING_FIELD", "/completion")]),
        ({"prompt": None, "completion": 3}, [("WRONG_TYPE", "/prompt"), ("WRONG_TYPE", "/completion")]),
        ({"instruction": " \n", "output": ""}, [("EMPTY_TEXT", "/instruction"), ("EMPTY_TEXT", "/output")]),
        ({"instruction": "a", "input": 1, "output": "b"}, [("WRONG_TYPE", "/input")]),
        ({"messages": []}, [("WRONG_TYPE", "/messages")]),
        ({"messages": ["a"]}, [("WRONG_TYPE", "/messages/0")]),
        ({"messages": [{"role": "bot", "content": ""}]}, [
            ("UNKNOWN_ROLE", "/messages/0/role"), ("EMPTY_TEXT", "/messages/0/content"),
        ]),
        ({"messages": [{"role": "user", "content": "a", "weight": 0}, {"role": "assistant", "content": "b"}]}, [
            ("UNSUPPORTED_FIELD", "/messages/0/weight"),
        ]),
        ({"conversations": [{"from": "bot", "value": "a"}]}, [("UNKNOWN_ROLE", "/conversations/0/from")]),
        ({"conversations": [{"from": "gpt", "value": "a"}]}, [("WRONG_ROLE_ORDER", "/conversations/0/from")]),
        ({"conversations": [{"from": "human", "text": "a"}]}, [
            ("UNSUPPORTED_FIELD", "/conversations/0/text"), ("MISSING_FIELD", "/conversations/0/value"),
            ("WRONG_ROLE_ORDER", "/conversations/0/from"),
        ]),
        ({"question": "a", "answer": "b"}, [("UNKNOWN_SHAPE", "")]),
        ({"prompt": "a", "completion": "b", "x": 1, "metadata": {"x": 2}}, [("METADATA_CONFLICT", "/x")]),
        ({"prompt": "a", "completion": "b", "metadata": [1]}, [("WRONG_TYPE", "/metadata")]),
    ],
)  # fmt: skip
# R12
def test_every_flaw_of_a_row_is_told_at_its_place(row: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert flaws(row) == expected


def test_a_named_shape_makes_other_marking_fields_metadata() -> None:
    found = example(turns("user", "assistant") | {"prompt": "a"}, shape="messages")
    assert found.metadata == {"prompt": "a"}


def test_limits_of_the_spec_hold() -> None:
    assert flaws(turns(*("user", "assistant") * 2), max_messages=3) == [("TOO_MANY_MESSAGES", "/messages")]


CAPITALS: dict[str, Any] = {"question": "¿Capital de España?", "choices": ["Lisboa", "Madrid", "Roma"]}


@pytest.mark.parametrize("answer", [1, "1", "B", "b", "B)", "Madrid", " Madrid "])
def test_a_question_with_choices_lists_them_and_is_answered_with_the_right_one(answer: object) -> None:
    found = example(CAPITALS | {"answer": answer, "topic": "Geografía"})
    assert found.messages == [
        {"role": "user", "content": "¿Capital de España?\n\nA) Lisboa\nB) Madrid\nC) Roma"},
        {"role": "assistant", "content": "B) Madrid"},
    ]
    assert found.facts == {"choices": CAPITALS["choices"], "answer": 1}
    assert found.metadata == {"topic": "Geografía"}


def test_a_text_that_is_a_choice_goes_before_an_index() -> None:
    assert example({"question": "1 + 1", "choices": ["1", "2", "3"], "answer": "2"}).facts["answer"] == 1


def test_the_order_of_the_choices_does_not_make_another_question() -> None:
    orders = (["Madrid", "Roma"], ["Roma", "Madrid"])
    found = [example(CAPITALS | {"choices": order, "answer": "Madrid"}) for order in orders]
    assert found[0].question == found[1].question
    assert found[0].id != found[1].id


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"answer": 3}, [("WRONG_ANSWER", "/answer")]),
        ({"answer": -1}, [("WRONG_ANSWER", "/answer")]),
        ({"answer": True}, [("WRONG_TYPE", "/answer")]),
        ({"answer": "D"}, [("WRONG_ANSWER", "/answer")]),
        ({"answer": "París"}, [("WRONG_ANSWER", "/answer")]),
        ({}, [("MISSING_FIELD", "/answer")]),
        ({"answer": "A", "choices": ["B", "A"]}, [("WRONG_ANSWER", "/answer")]),
        ({"answer": 0, "choices": "Roma, Madrid"}, [("WRONG_TYPE", "/choices")]),
        ({"answer": 0, "choices": ["Roma"]}, [("INVALID_CHOICES", "/choices")]),
        ({"answer": 0, "choices": ["a"] * 27}, [("INVALID_CHOICES", "/choices")]),
        ({"answer": 0, "choices": ["Roma", "Madrid", "Roma"]}, [("INVALID_CHOICES", "/choices/2")]),
        ({"answer": 0, "choices": ["Roma", 3, ""]}, [("WRONG_TYPE", "/choices/1"), ("EMPTY_TEXT", "/choices/2")]),
    ],
)
def test_choices_and_answers_that_do_not_match_are_told(
    fields: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert flaws(CAPITALS | fields) == expected


def test_a_system_prompt_beside_a_conversation_comes_first_and_only_once() -> None:
    turns = [{"from": "human", "value": "Hola"}, {"from": "gpt", "value": "¿Qué tal?"}]
    found = example({"system": "Sé amable.", "conversations": turns})
    assert [message["role"] for message in found.messages] == ["system", "user", "assistant"]
    twice = {"system": "Sé amable.", "conversations": [{"from": "system", "value": "No."}, *turns]}
    assert flaws(twice) == [("METADATA_CONFLICT", "/system")]


RECORD: dict[str, Any] = {
    "concept": "Una app de citas para médicos",
    "title": "Citas médicas en línea",
    "description": "Los pacientes piden cita y el médico la confirma.",
    "functional_requirements": "- id: FR001\n  text: Pedir cita el día 3\n- id: FR002\n  text: Año\n",
    "non_functional_requirements": [{"id": "NFR001", "text": "Responde en 2 s."}],
    "constraints": "no: es: yaml",
}


# R81
def test_a_requirement_record_is_asked_by_its_concept_and_answered_in_yaml() -> None:
    found = example(RECORD | {"score": 0.8})
    assert found.messages[0] == {"role": "user", "content": RECORD["concept"]}
    assert read_yaml(found.messages[1]["content"]) == {
        "title": RECORD["title"],
        "description": RECORD["description"],
        "functional_requirements": [{"id": "FR001", "text": "Pedir cita el día 3"}, {"id": "FR002", "text": "Año"}],
        "non_functional_requirements": RECORD["non_functional_requirements"],
        "constraints": RECORD["constraints"],
    }
    assert found.facts == {"record": RECORD}
    assert found.metadata == {"score": 0.8}


def test_an_incomplete_record_is_an_example_with_errors_so_that_the_audit_can_count_it() -> None:
    found = example({name: value for name, value in RECORD.items() if name != "title"} | {"constraints": ""})
    assert [(flaw.code, flaw.pointer) for flaw in found.flaws] == [
        ("MISSING_FIELD", "/title"),
        ("EMPTY_TEXT", "/constraints"),
    ]
    assert flaws(RECORD | {"title": 3, "constraints": 7}) == [("WRONG_TYPE", "/title"), ("WRONG_TYPE", "/constraints")]
    assert flaws(RECORD | {"concept": " "}) == [("EMPTY_TEXT", "/concept")]


@pytest.mark.parametrize("row", [RECORD, CAPITALS | {"answer": "Roma", "system": "Sé breve."}])
def test_what_a_row_was_made_from_survives_export_and_import(row: dict[str, Any]) -> None:
    first = example(row | {"level": 2})
    assert example(first.as_row()).as_row() == first.as_row()
    again = example_of_version(first.as_row())
    assert again.as_row() == first.as_row()
    assert again.question == first.question


def test_a_profile_may_take_some_shapes_only() -> None:
    only = {"name": "choices", "shapes": ["multiple_choice"]}
    assert flaws({"prompt": "a", "completion": "b"}, profile=only) == [("SHAPE_NOT_ALLOWED", "")]
    assert example(CAPITALS | {"answer": 0}, profile=only)


@pytest.mark.parametrize(
    "bomb", ["[" * 200_000, "- " * 200_000, "a: &a [x]\nb: [*a, *a]", "!!python/object:os.system x"]
)
def test_yaml_that_bursts_loaders_stays_the_text_that_it_is(bomb: str) -> None:
    found = example(RECORD | {"constraints": bomb})
    assert read_yaml(found.messages[1]["content"])["constraints"] == bomb
