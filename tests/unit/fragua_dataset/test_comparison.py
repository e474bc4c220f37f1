"""Pairing the rows of two versions, and telling the fields that differ."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from fragua_dataset.application.comparison import Comparison, Difference
from fragua_dataset.domain.rows import LONGEST_TEXT, Change, Side, field_diffs
from fragua_platform.errors import Corrupted

Row = dict[str, Any]


def row(number: int, *, origin: int = 0, **fields: Any) -> Row:
    named = {"id": f"{number:016d}"} | ({"origin": f"{origin:016d}"} if origin else {})
    return named | {"messages": [{"role": "user", "content": f"¿{number}?"}], "metadata": {}} | fields


def written(rows: list[Row]) -> io.BufferedReader:
    lines = "".join(json.dumps(each, ensure_ascii=False, separators=(",", ":")) + "\n" for each in rows)
    return io.BufferedReader(io.BytesIO(lines.encode()))


def compared(folder: Path, base: list[Row], target: list[Row], held_out: tuple[int, int] = (0, 0)) -> Comparison:
    """Of each version the last `held_out` rows are."""
    comparison = Comparison(folder)
    for role, rows, count in (("base", base, held_out[0]), ("target", target, held_out[1])):
        cut = len(rows) - count
        comparison.take(role, Side.TRAIN, written(rows[:cut]))  # type: ignore[arg-type]
        comparison.take(role, Side.VALIDATION, written(rows[cut:]))  # type: ignore[arg-type]
    comparison.conclude()
    return comparison


def pairs(comparison: Comparison) -> list[tuple[str, str, str]]:
    def short(difference: Difference) -> tuple[str, str, str]:
        base, target = difference.base, difference.target
        return difference.change, base.id.lstrip("0") if base else "", target.id.lstrip("0") if target else ""

    return [short(difference) for difference in comparison.differences(0, 1000)]


def test_rows_with_the_same_messages_are_the_same_row(tmp_path: Path) -> None:
    base = [row(1), row(2), row(3, metadata={"a": 1})]
    target = [row(3, metadata={"a": 2}), row(4), row(1)]
    found = compared(tmp_path, base, target)
    assert pairs(found) == [("CHANGED", "3", "3"), ("ADDED", "", "4"), ("REMOVED", "2", "")]
    assert found.unchanged() == 1


def test_rows_whose_messages_changed_are_paired_by_where_they_come_from(tmp_path: Path) -> None:
    base = [row(1), row(12, origin=2), row(3)]
    target = [row(11, origin=1), row(22, origin=2), row(2)]
    # Of 22 and 2, which are both what became of 2, the first one is what became of 12.
    assert pairs(compared(tmp_path, base, target)) == [
        ("CHANGED", "1", "11"),
        ("CHANGED", "12", "22"),
        ("ADDED", "", "2"),
        ("REMOVED", "3", ""),
    ]


def test_repeated_rows_are_paired_one_by_one(tmp_path: Path) -> None:
    found = compared(tmp_path, [row(1), row(1), row(1)], [row(1)])
    assert found.unchanged() == 1
    assert found.counts() == {Change.REMOVED: 2}


def test_a_row_on_the_other_side_has_moved(tmp_path: Path) -> None:
    found = compared(tmp_path, [row(1), row(2), row(3)], [row(1), row(2), row(3)], held_out=(1, 2))
    (difference,) = found.differences(0, 10)
    assert (difference.change, difference.base and difference.base.side) == (Change.MOVED, Side.TRAIN)
    assert difference.target and difference.target.side is Side.VALIDATION


def test_where_a_row_comes_from_is_no_difference(tmp_path: Path) -> None:
    assert pairs(compared(tmp_path, [row(1)], [row(1, origin=7)])) == []


def test_what_is_no_row_is_told(tmp_path: Path) -> None:
    with pytest.raises(Corrupted, match="verify"):
        Comparison(tmp_path).take("base", Side.TRAIN, io.BufferedReader(io.BytesIO(b'{"x":1}\n')))


def test_nothing_is_left_on_the_disk(tmp_path: Path) -> None:
    compared(tmp_path, [row(1)], [row(2)])
    assert list(tmp_path.iterdir()) == []


# --- fields


def told(before: Any, after: Any) -> list[tuple[str, str, str]]:
    found = field_diffs({"id": "a", "metadata": before}, {"id": "b", "origin": "a", "metadata": after})
    return [(field.pointer, field.before, field.after) for field in found]


def test_the_smallest_fields_that_differ_are_told() -> None:
    before = {"a": [1, {"b": "x"}, 3], "gone": None, "same": [1], "a/b~c": 1}
    after = {"a": [1, {"b": "ñ"}], "new": {"k": []}, "same": [1], "a/b~c": 1.5}
    assert told(before, after) == [
        ("/metadata/a/1/b", '"x"', '"ñ"'),
        ("/metadata/a/2", "3", ""),
        ("/metadata/gone", "null", ""),
        ("/metadata/a~1b~0c", "1", "1.5"),
        ("/metadata/new", "", '{"k": []}'),
    ]


def test_kinds_are_told_apart_that_python_takes_for_equal() -> None:
    assert told({"a": 1}, {"a": True}) == [("/metadata/a", "1", "true")]
    assert told({"a": 1}, {"a": 1.0}) == [("/metadata/a", "1", "1.0")]


def test_of_long_texts_what_differs_stays_in_sight() -> None:
    before, after = "a" * 5000 + "FR01" + "b" * 5000, "a" * 5000 + "FR001" + "b" * 5000
    ((_, old, new),) = told({"x": before}, {"x": after})
    assert len(old) < 200
    assert "FR01b" in old
    assert "FR001b" in new
    assert (old[0], old[-1]) == ("…", "…")


def test_of_long_texts_that_have_nothing_in_common_the_middle_goes() -> None:
    ((_, old, new),) = told({"x": "a" * 10_000}, {"x": "b" * 10_000})
    assert len(old) == len(new) == LONGEST_TEXT + 1
    ((_, old, new),) = told({}, {"x": "b" * 10_000})
    assert (old, len(new)) == ("", LONGEST_TEXT + 1)
    ((_, old, new),) = told({"x": "ab" * 3000}, {"x": "ab" * 4000})
    assert max(len(old), len(new)) <= LONGEST_TEXT + 3
