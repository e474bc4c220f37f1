"""The three shapes of a row become one, and what is none is told field by field."""

from typing import Any

import pytest

from fragua_dataset.domain.import_spec import ImportSpec
from fragua_dataset.ingestion.shapes import Example, example_from_row


def example(row: dict[str, Any], **spec: Any) -> Example:
    found = example_from_row(row, ImportSpec(**spec))
    assert isinstance(found, Example), found
    return found


def flaws(row: dict[str, Any], **spec: Any) -> list[tuple[str, str]]:
    found = example_from_row(row, ImportSpec(**spec))
    assert isinstance(found, list), found
    return [(flaw.code, flaw.pointer) for flaw in found]


def turns(*roles: str) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": f"{role} dice"} for role in roles]}


# R139, R181
def test_the_three_shapes_of_one_example_have_one_content_and_one_id() -> None:
    rows: list[dict[str, Any]] = [
        {"instruction": "¿Qué es un árbol?", "input": "", "output": "Un grafo."},
        {"prompt": "¿Qué es un árbol?", "completion": "Un grafo."},
        {
            "messages": [
                {"role": "user", "content": "¿Qué es un árbol?"},
                {"role": "assistant", "content": "Un grafo."},
            ]
        },
    ]
    examples = [example(row) for row in rows]
    assert [found.messages for found in examples] == [rows[2]["messages"]] * 3
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
    again = example({"id": first.id, "messages": first.messages, "metadata": first.metadata})
    assert again == first


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
    answered = {"prompt": "¿Sí o no?", "completion": " sí "}
    assert flaws(answered, min_answer_chars=3) == [("ANSWER_TOO_SHORT", "/completion")]
    assert flaws(turns("user", "assistant"), min_answer_chars=99) == [("ANSWER_TOO_SHORT", "/messages/1/content")]
    assert flaws(turns(*("user", "assistant") * 2), max_messages=3) == [("TOO_MANY_MESSAGES", "/messages")]
