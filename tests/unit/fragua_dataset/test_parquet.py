"""Parquet: what columns hold is read as JSON would have said it, and what lies or bursts is refused by name."""

import io
import random
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fragua_dataset.ingestion import parquet_rows
from fragua_platform.errors import FailureClass, InvalidData, LimitExceeded
from tests.unit.fragua_dataset.importing import Import


def parquet(rows: list[dict[str, Any]], schema: pa.Schema | None = None, **options: Any) -> bytes:
    file = io.BytesIO()
    names = {name: None for row in rows for name in row}
    pq.write_table(pa.Table.from_pylist([names | row for row in rows], schema), file, **options)
    return file.getvalue()


def imported(tmp_path: Path, content: bytes, **spec: Any) -> list[dict[str, Any]]:
    made = Import(tmp_path, content, validation_fraction=0, **spec)
    made.run()
    return made.rows("train.jsonl")


CHAT = [{"role": "user", "content": "¿Qué es?"}, {"role": "assistant", "content": "Un árbol."}]


@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}, {"compression": "zstd", "use_dictionary": False}])
def test_rows_of_every_shape_are_read_with_nested_columns(options: dict[str, Any], tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"messages": CHAT, "level": 3, "day": date(2026, 2, 3), "weight": Decimal("1.5")},
        {"messages": [*CHAT, *CHAT], "tags": ["a", "ñ"]},
        {"question": "¿2?", "choices": ["1", "2"], "answer": 1},
        {"prompt": "a", "completion": "b", "metadata": {"x": 1}},
    ]
    found = imported(tmp_path, parquet(rows, row_group_size=2, **options))
    assert [row["messages"] for row in found[:2]] == [CHAT, [*CHAT, *CHAT]]
    assert found[0]["metadata"] == {"level": 3, "day": "2026-02-03", "weight": 1.5}
    assert found[1]["metadata"] == {"tags": ["a", "ñ"]}
    assert (found[2]["choices"], found[2]["answer"]) == (["1", "2"], 1)
    assert found[3]["metadata"] == {"x": 1}


def test_text_may_come_as_bytes_in_dictionaries_or_as_json(tmp_path: Path) -> None:
    schema = pa.schema([("prompt", pa.binary()), ("completion", pa.dictionary(pa.int8(), pa.string()))])
    rows = [{"prompt": f"¿{n}?".encode(), "completion": "Sí."} for n in range(3)]
    assert [row["messages"][0]["content"] for row in imported(tmp_path / "1", parquet(rows, schema))] == [
        "¿0?",
        "¿1?",
        "¿2?",
    ]
    as_json = [{"messages": '[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]'}]
    assert imported(tmp_path / "2", parquet(as_json))[0]["messages"][1]["content"] == "b"


def test_what_json_does_not_have_is_told_at_its_row_and_column(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"prompt": "a", "completion": "b", "x": b"\xff\xfe"},
        {"prompt": "a", "completion": "c", "y": float("nan")},
        {"prompt": "a\0", "completion": "d"},
        {"prompt": "a"},
    ]
    refusal = Import(tmp_path, parquet(rows)).refusal()
    assert [violation.field for violation in refusal.violations] == [
        "line 1, /x",
        "line 2, /y",
        "line 3, /prompt",
        "line 4, /completion",
    ]


def test_a_text_that_is_not_utf8_is_told_at_its_row(tmp_path: Path) -> None:
    texts = pa.array([b"a", b"qu\xe9", b"c"]).view(pa.string())
    file = io.BytesIO()
    pq.write_table(pa.table({"prompt": texts, "completion": ["1", "2", "3"]}), file)
    made = Import(tmp_path, file.getvalue())
    made.refusal()
    assert [(problem.line, problem.code) for problem in made.report.problems] == [(2, "INVALID_UTF8")]


def test_a_dictionary_that_repeats_a_long_text_a_million_times_is_a_bomb(tmp_path: Path) -> None:
    text = random.Random(1).randbytes(50_000).hex()
    table = pa.table(
        {
            "prompt": pa.array([str(n) for n in range(20_000)]),
            "completion": pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), [text]),
        }
    )
    file = io.BytesIO()
    pq.write_table(table, file)
    made = Import(tmp_path, file.getvalue(), max_unpacked_ratio=50)
    refusal = made.refusal()
    assert (refusal.reason, refusal.failure_class) == ("DECOMPRESSION_BOMB", FailureClass.USER_DATA)
    assert made.outputs == set()


def test_limits_hold(tmp_path: Path) -> None:
    rows = [{"prompt": str(n), "completion": "b"} for n in range(5)]
    assert isinstance(Import(tmp_path / "1", parquet(rows), max_rows=4).refusal(), LimitExceeded)
    assert isinstance(Import(tmp_path / "2", parquet(rows), max_unpacked_bytes=9).refusal(), LimitExceeded)
    wide = [{"prompt": "a", "completion": "b"} | {f"c{n}": 1 for n in range(1_001)}]
    assert isinstance(Import(tmp_path / "3", parquet(wide)).refusal(), LimitExceeded)
    long = Import(tmp_path / "4", parquet([{"prompt": "a" * 200, "completion": "b"}]), max_line_bytes=100)
    assert "longer than 100 bytes" in long.refusal().message


GOOD = parquet([{"prompt": f"¿{n}?", "completion": "Sí." * n} for n in range(200)], row_group_size=50)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    damages=st.lists(st.tuples(st.integers(4, len(GOOD) - 1), st.binary(min_size=1, max_size=6)), max_size=4),
    length=st.one_of(st.just(len(GOOD)), st.integers(4, len(GOOD))),
)
def test_a_file_that_was_damaged_or_lies_is_read_or_refused_by_name(
    damages: list[tuple[int, bytes]], length: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(GOOD)
    for place, damage in damages:
        content[place : place + len(damage)] = damage
    made = Import(tmp_path_factory.mktemp("lies"), bytes(content[:length]))
    reason = ""
    try:
        made.run()
    except (InvalidData, LimitExceeded) as refusal:
        reason = refusal.reason
    assert reason in {"", "CORRUPT_PARQUET", "DATASET_INVALID", "DECOMPRESSION_BOMB", "LIMIT_EXCEEDED"}


def test_a_page_that_claims_a_gigabyte_takes_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_rows, "_MEMORY", 64 << 20)
    content = parquet([{"prompt": "a" * 300_000_000, "completion": "b"}], use_dictionary=False)
    refusal = Import(tmp_path, content).refusal()
    assert refusal.reason == "CORRUPT_PARQUET"
    assert "after 0 rows" in refusal.message
