"""The ingestion engine as the worker and a person run it: a child process on a job directory."""

import gzip
import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard


def run_ingestion(job: Path) -> tuple[int, list[dict[str, Any]]]:
    finished = subprocess.run(
        [sys.executable, "-m", "fragua_dataset.ingestion", str(job)], capture_output=True, text=True, timeout=60
    )
    return finished.returncode, [json.loads(line) for line in finished.stdout.splitlines()]


_CHECKS_OF_ONE_ROW = ("SECRET", "PERSONAL_DATA", "MOJIBAKE")


def job_with(tmp_path: Path, rows: list[str], spec: dict[str, Any] | None = None) -> Path:
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs/source").write_text("\n".join(rows) + "\n", "utf-8")
    (tmp_path / "spec.json").write_text(json.dumps(spec or {}))
    return tmp_path


def test_a_file_is_imported_by_hand(tmp_path: Path) -> None:
    rows = [json.dumps({"instruction": f"¿Qué es {n}?", "output": f"Un número: {n}."}) for n in range(300)]
    status, records = run_ingestion(job_with(tmp_path, rows))
    assert status == 0
    assert {record["record"] for record in records} == {"progress"}
    assert records[-1]["step"] == records[-1]["total"] == (tmp_path / "inputs/source").stat().st_size
    assert {path.name for path in (tmp_path / "outputs").iterdir()} == {
        "train.jsonl",
        "validation.jsonl",
        "report.json",
        "samples.json",
        "train_audit_report.json",
        "validation_audit_report.json",
    }


def test_a_bad_file_fails_as_the_users_data_with_its_lines(tmp_path: Path) -> None:
    status, records = run_ingestion(job_with(tmp_path, ['{"prompt": "a", "completion": "b"}', '{"prompt": ""}']))
    failure = records[-1]
    assert status == 1
    assert (failure["record"], failure["failure_class"], failure["reason"]) == (
        "failure",
        "USER_DATA",
        "DATASET_INVALID",
    )
    assert [violation["field"] for violation in failure["violations"]] == ["line 2, /prompt", "line 2, /completion"]


def json_lines(rows: list[dict[str, str]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def json_array(rows: list[dict[str, str]]) -> bytes:
    return json.dumps(rows).encode()


def packed_csv(rows: list[dict[str, str]]) -> bytes:
    return gzip.compress("\n".join(["prompt,completion", *(",".join(row.values()) for row in rows)]).encode(), 1)


def packed_lines(rows: list[dict[str, str]]) -> bytes:
    return zstandard.compress(json_lines(rows))


@pytest.mark.parametrize("written", [json_lines, json_array, packed_csv, packed_lines])
def test_memory_stays_flat_while_the_file_grows(
    written: Callable[[list[dict[str, str]]], bytes], tmp_path: Path
) -> None:
    """50 MB take hardly more than 50 KB; what looks at one row after the other would only take time."""
    noise = random.Random(1)
    rows = [{"prompt": str(n), "completion": noise.randbytes(4_900).hex()} for n in range(5_000)]
    small, large = peak_kib(written(rows[:5]), tmp_path / "small"), peak_kib(written(rows), tmp_path / "large")
    assert large - small < 30_000, f"{small} and {large} KiB resident"


# R12
def test_a_line_of_200_mb_is_told_and_takes_no_memory(tmp_path: Path) -> None:
    good = b'{"prompt": "a", "completion": "b"}\n'
    small = peak_kib(good, tmp_path / "small")
    large = peak_kib(good + b'{"prompt": "' + b"a" * 200_000_000 + b'"}\n' + good, tmp_path / "large", status=1)
    assert large - small < 30_000, f"{small} and {large} KiB resident"
    report = json.loads((tmp_path / "large/outputs/report.json").read_text("utf-8"))
    assert [(found["line"], found["code"]) for found in report["problems"]] == [
        (2, "LINE_TOO_LONG"),
        (3, "DUPLICATE_EXAMPLE"),
    ]


def peak_kib(content: bytes, folder: Path, status: int = 0) -> int:
    folder.mkdir()
    job = job_with(folder, [], {"profile": {"name": "quick", "checks": dict.fromkeys(_CHECKS_OF_ONE_ROW, "off")}})
    (job / "inputs/source").write_bytes(content)
    program = (
        "import resource, subprocess, sys;"
        "done = subprocess.run([sys.executable, '-m', 'fragua_dataset.ingestion', sys.argv[1]],"
        " stdout=subprocess.DEVNULL);"
        "print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    measured = subprocess.run(
        [sys.executable, "-c", program, str(job)], capture_output=True, text=True, timeout=120, check=True
    )
    ended_with, peak = map(int, measured.stdout.split())
    assert ended_with == status
    return peak
