"""Hostile files against the whole engine: good ones of every kind, damaged at random.

In CI the same 1,500 files each time, in well under a minute. By hand for hours, other ones each time:
`FRAGUA_FUZZ_EXAMPLES=1000000 make fuzz`.
"""

import csv
import gzip
import io
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fragua_platform.errors import FailureClass, FraguaError
from tests.unit.fragua_dataset.importing import AUDITS, Import

EXAMPLES = os.environ.get("FRAGUA_FUZZ_EXAMPLES")

ROWS: list[dict[str, Any]] = [
    {"instruction": f"¿Cuánto es {n} + 1?", "input": "", "output": f"Es {n + 1}, porque uno más es el siguiente."}
    for n in range(12)
]
CHATS = [
    {
        "messages": [{"role": "user", "content": f"¿{n}?"}, {"role": "assistant", "content": "Sí, ñandú 😀."}],
        "type": "a",
    }
    for n in range(6)
]
CHOICES = [{"question": f"¿{n} + {n}?", "choices": [str(n), str(2 * n), "ñ"], "answer": 1} for n in range(3, 9)]
RECORDS = [
    {
        "concept": f"Tienda {n}",
        "title": "Una tienda",
        "description": "Vende.",
        "functional_requirements": "- id: FR01\n  text: Vender\n",
        "non_functional_requirements": [{"id": "NFR001"}],
        "constraints": "[]",
    }
    for n in range(4)
]


def as_lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file, row_group_size=5)
    return file.getvalue()


SHEETS = [as_lines(rows) for rows in (ROWS, CHATS, CHOICES, RECORDS)]
FILES = [
    *SHEETS,
    json.dumps(ROWS, indent=1).encode(),
    json.dumps(CHOICES + CHATS).encode(),
    as_csv(ROWS),
    b"\xef\xbb\xbf" + as_lines(ROWS).replace(b"\n", b"\r\n"),
    gzip.compress(SHEETS[0], mtime=0),
    zstandard.ZstdCompressor(write_checksum=True).compress(SHEETS[1]),
    as_parquet(ROWS),
    as_parquet(CHATS),
]
SPLINTERS = st.binary(max_size=8) | st.sampled_from(
    [
        *(b"[" * 40, b"]", b"{", b"}", b'"', b"\\", b",", b":", b"\n", b"\r", b"\0", b"\xef\xbb\xbf", b"\xff\xfe"),
        *(
            b"NaN",
            b"-Infinity",
            b"1e999",
            b"9" * 400,
            b"\\ud800",
            b"\\u0000",
            b"\xc3",
            b"\xed\xa0\x80",
            b"null",
            b" " * 300,
        ),
        *(
            b'"id": "0",',
            b'"metadata": {"group": []},',
            b'"role": "system",',
            b"- &a [*a]",
            b"!!python/object:os.system",
        ),
        *(b"PAR1", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"),
    ]
)


@st.composite
def damaged_files(draw: st.DrawFn) -> bytes:
    content = draw(st.sampled_from(FILES))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.integers(start, min(len(content), start + 60)))
        match draw(st.sampled_from(["replace", "insert", "repeat", "cut"])):
            case "replace":
                content = content[:start] + draw(SPLINTERS) + content[end:]
            case "insert":
                content = content[:start] + draw(SPLINTERS) + content[start:]
            case "repeat":
                content = content[:end] + content[start:end] * draw(st.integers(1, 5)) + content[end:]
            case "cut":
                content = content[:start]
    return content


SPECS = st.fixed_dictionaries(
    {},
    optional={
        "format": st.sampled_from(["auto", "jsonl", "json", "csv", "parquet"]),
        "shape": st.sampled_from(["auto", "alpaca", "messages", "requirements", "multiple_choice"]),
        "fixers": st.sets(
            st.sampled_from(["pad-ids", "yaml-strings", "repair-mojibake", "trim", "drop-duplicates"])
        ).map(sorted),
        "row_filter": st.just({"answer": {"min_chars": 3}, "profile": {"name": "filter"}}),
        "validation_fraction": st.sampled_from([0, 0.2, 0.99]),
        "evaluation": st.booleans(),
        "personal_data": st.sampled_from(["allow", "warn", "refuse"]),
        "max_line_bytes": st.sampled_from([64, 400, 100_000]),
        "max_depth": st.sampled_from([3, 32]),
        "max_rows": st.sampled_from([3, 1_000]),
    },
)


@settings(
    max_examples=int(EXAMPLES or 1_500),
    derandomize=EXAMPLES is None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(content=damaged_files(), spec=SPECS)
def test_every_file_becomes_a_version_that_adds_up_or_is_refused_by_name(
    content: bytes, spec: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = Import(tmp_path_factory.mktemp("fuzz") / "job", content, **spec)
    before = folder_content(made.job.root)
    failed, blame = "", FailureClass.USER_DATA
    try:
        made.run()
    except FraguaError as refusal:
        failed, blame = refusal.reason, refusal.failure_class
    assert blame in {FailureClass.USER_DATA, FailureClass.CAPACITY}, failed
    assert folder_content(made.job.root) - before <= {Path("outputs", name) for name in made.outputs}
    if failed == "DATASET_INVALID":
        assert made.outputs == {"report.json", *AUDITS}
    elif failed:
        assert made.outputs == set()
    else:
        check_version(made)


def check_version(made: Import) -> None:
    report = made.report
    rows = made.rows("train.jsonl") + made.rows("validation.jsonl")
    left_out = sum(report.selection.rows_left_out.values()) if report.selection else 0
    repeats = sum(count for code, count in report.problem_counts.items() if code == "DUPLICATE_EXAMPLE")
    assert (report.train_rows + report.validation_rows) == len(rows)
    assert len({row["id"] for row in rows}) == report.rows - left_out - repeats
    held_out = {row["id"] for row in made.rows("validation.jsonl")}
    assert len(held_out) == report.validation_rows, "what is asked is asked once"
    assert held_out.isdisjoint(row["id"] for row in made.rows("train.jsonl"))
    keeps_repeats = report.spec.fixers and "drop-duplicates" not in report.spec.fixers and not report.spec.evaluation
    assert len(rows) == report.rows - left_out - (0 if keeps_repeats else repeats)
    assert all(row["messages"][-1]["role"] == "assistant" and row["messages"][-1]["content"].strip() for row in rows)


def folder_content(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*")}
