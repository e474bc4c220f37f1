"""Which questions are asked."""

import json
from pathlib import Path
from typing import Any

import pytest

from fragua_evaluator.domain.evaluation_spec import EvaluationSpec
from fragua_evaluator.scoring.items import Selection, select_items
from fragua_platform.errors import FraguaError, InvalidData, InvalidInput


def row(number: int, **changes: Any) -> dict[str, Any]:
    messages = [
        {"role": "system", "content": "Sé breve."},
        {"role": "user", "content": f"¿Qué es {number}?"},
        {"role": "assistant", "content": f"Un número: {number}."},
    ]
    return {"id": f"{number:016x}", "messages": messages, "metadata": {"level": 1}} | changes


def select(folder: Path, rows: list[dict[str, Any]], **spec: Any) -> Selection:
    path = folder / "validation.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return select_items(path, EvaluationSpec(**spec))


def refusal(folder: Path, rows: list[dict[str, Any]]) -> FraguaError:
    with pytest.raises(InvalidData) as refused:
        select(folder, rows)
    return refused.value


def test_the_question_is_the_conversation_before_its_last_answer(tmp_path: Path) -> None:
    item = select(tmp_path, [row(7)]).items[0]
    assert [message["role"] for message in item.prompt] == ["system", "user"]
    assert item.expected == "Un número: 7."
    [item] = load(tmp_path, [row(7)]).items
    assert [message.role for message in item.messages] == [Role.SYSTEM, Role.USER]
    assert (item.expected, item.tag) == ("Un número: 7.", "números")


def test_choices_become_answers_as_the_rows_write_them(tmp_path: Path) -> None:
    [item] = load(
        tmp_path, [row(1, choices=["sol", "ñandú"], answer=1), row(2)], kind="multiple_choice", metrics=()
    ).items
    assert (item.choices, item.right_choice) == (("A) sol", "B) ñandú"), 1)


def test_multiple_choice_without_any_choices_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="no held-out row has choices"):
        load(tmp_path, [row(1)], kind=SuiteKind.MULTIPLE_CHOICE, metrics=())


def test_more_rows_than_asked_for_are_drawn_by_seed_and_kept_in_order(tmp_path: Path) -> None:
    rows = [row(number) for number in range(200)]
    first = select(tmp_path, rows, max_items=50)
    assert first == select(tmp_path, rows, max_items=50)
    assert (len(first.items), first.available) == (50, 200)
    assert [item.line for item in first.items] == sorted(item.line for item in first.items)
    other = select(tmp_path, rows, max_items=50, seed=1)
    assert {item.id for item in other.items} != {item.id for item in first.items}


def test_the_draw_depends_on_the_rows_and_not_on_their_order(tmp_path: Path) -> None:
    rows = [row(number) for number in range(50)]
    chosen = {item.id for item in select(tmp_path, rows, max_items=10).items}
    assert {item.id for item in select(tmp_path, rows[::-1], max_items=10).items} == chosen


def test_an_empty_split_is_refused_with_the_way_out(tmp_path: Path) -> None:
    refused = refusal(tmp_path, [])
    assert refused.reason == "EMPTY_VALIDATION"
    assert "validation_fraction" in refused.message


def test_a_missing_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"validation\.jsonl is missing"):
        select_items(tmp_path / "validation.jsonl", EvaluationSpec())


def test_every_broken_row_is_named_with_its_line(tmp_path: Path) -> None:
    unanswered = row(3)["messages"][:2]
    bot = [{"role": "bot", "content": "a"}, {"role": "assistant", "content": "b"}]
    refused = refusal(tmp_path, [row(1), {"id": "x"}, row(3, messages=unanswered), row(4, messages=bot)])
    assert [violation.field for violation in refused.violations] == [
        "validation.jsonl line 2, /messages",
        "validation.jsonl line 3",
        "validation.jsonl line 4, /messages/0/role",
    ]


def test_two_rows_with_one_id_are_refused(tmp_path: Path) -> None:
    assert row(1)["id"] in refusal(tmp_path, [row(1), row(1)]).message
