"""Which questions are asked."""

import json
from pathlib import Path
from typing import Any

import pytest

from fragua_evaluator.domain.arm import Message, Role
from fragua_evaluator.domain.suite import Case, MetricChoice, SuiteKind, SuiteSpec
from fragua_evaluator.scoring.items import Questionnaire, load_questionnaire
from fragua_platform.errors import FraguaError, InvalidData, InvalidInput


def row(number: int, **changes: Any) -> dict[str, Any]:
    messages = [
        {"role": "system", "content": "Sé breve."},
        {"role": "user", "content": f"¿Qué es {number}?"},
        {"role": "assistant", "content": f"Un número: {number}."},
    ]
    return {"id": f"{number:016x}", "messages": messages, "metadata": {"type": "números"}} | changes


def suite(**changes: Any) -> SuiteSpec:
    fields = {"name": "validation", "rows": "rows.jsonl", "metrics": (MetricChoice(name="exact_match"),)}
    return SuiteSpec(**(fields | changes))


def load(folder: Path, rows: list[dict[str, Any]], seed: int = 0, **changes: Any) -> Questionnaire:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return load_questionnaire(suite(**changes), folder, seed)


def refusal(folder: Path, rows: list[dict[str, Any]]) -> FraguaError:
    with pytest.raises(InvalidData) as refused:
        load(folder, rows)
    return refused.value


def test_the_question_is_the_conversation_before_its_last_answer(tmp_path: Path) -> None:
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
    first = load(tmp_path, rows, max_items=50)
    assert first == load(tmp_path, rows, max_items=50)
    assert (len(first.items), first.available) == (50, 200)
    numbers = [int(item.id, 16) for item in first.items]
    assert numbers == sorted(numbers)
    assert {item.id for item in load(tmp_path, rows, seed=1, max_items=50).items} != {item.id for item in first.items}


def test_the_draw_depends_on_the_rows_and_not_on_their_order(tmp_path: Path) -> None:
    rows = [row(number) for number in range(50)]
    chosen = {item.id for item in load(tmp_path, rows, max_items=10).items}
    assert {item.id for item in load(tmp_path, rows[::-1], max_items=10).items} == chosen


def test_cases_of_the_suite_stand_before_rows(tmp_path: Path) -> None:
    case = Case(id="c1", tag="ambiguous", messages=(Message(role=Role.USER, content="¿Y ahora?"),), expected="Depende.")
    assert [(item.id, item.tag) for item in load(tmp_path, [row(1)], cases=(case,)).items] == [
        ("c1", "ambiguous"),
        (row(1)["id"], "números"),
    ]


def test_nothing_held_out_is_refused_with_the_way_out(tmp_path: Path) -> None:
    refused = refusal(tmp_path, [])
    assert refused.reason == "EMPTY_SUITE"
    assert "validation_fraction" in refused.message


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"rows\.jsonl is missing"):
        load_questionnaire(suite(), tmp_path, 0)


def test_every_broken_row_is_named_with_its_line(tmp_path: Path) -> None:
    unanswered = row(3)["messages"][:2]
    bot = [{"role": "bot", "content": "a"}, {"role": "assistant", "content": "b"}]
    unsolved = row(5, choices=["a", "b"], answer=2)
    refused = refusal(tmp_path, [row(1), {"id": "x"}, row(3, messages=unanswered), row(4, messages=bot), unsolved])
    assert [violation.field for violation in refused.violations] == [
        "validation: line 2, /messages",
        "validation: line 3",
        "validation: line 4, /messages/0/role",
        "validation: line 5",
    ]


def test_two_rows_with_one_id_are_refused(tmp_path: Path) -> None:
    assert row(1)["id"] in refusal(tmp_path, [row(1), row(1)]).message
