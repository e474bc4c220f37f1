"""Whole imports, run in this process on small files."""

import hashlib
import json
from pathlib import Path

import pytest

from fragua_platform.errors import InvalidData, InvalidInput, LimitExceeded
from fragua_platform.jobs.engine import Interrupted
from tests.unit.fragua_dataset.importing import AUDITS, Import, questions


def test_a_good_file_becomes_a_version_with_a_report_that_adds_up(tmp_path: Path) -> None:
    imported = Import(tmp_path, questions(50))
    report = imported.run()
    assert report.valid
    assert imported.outputs == {"train.jsonl", "validation.jsonl", "report.json", "samples.json", *AUDITS}
    assert report.rows == report.train_rows + report.validation_rows == 50
    assert report.source.sha256 == hashlib.sha256(questions(50)).hexdigest()
    for name, file in report.files.items():
        content = (imported.job.outputs / name).read_bytes()
        assert (file.bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    rows = imported.rows("train.jsonl") + imported.rows("validation.jsonl")
    assert {row["messages"][0]["content"] for row in rows} == {f"¿Cuánto es {n} + 1, señor?" for n in range(50)}
    assert {frozenset(row) for row in rows} == {frozenset({"id", "messages", "metadata"})}


def test_the_same_file_and_specification_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = Import(tmp_path / "1", questions(50)), Import(tmp_path / "2", questions(50))
    first.run(), second.run()
    for name in first.outputs:
        assert (first.job.outputs / name).read_bytes() == (second.job.outputs / name).read_bytes()


def test_byte_order_mark_windows_line_ends_and_blank_lines_change_nothing(tmp_path: Path) -> None:
    as_windows_writes_it = b"\xef\xbb\xbf" + questions(20).replace(b"\n", b"\r\n\r\n").rstrip()
    plain, windows = Import(tmp_path / "1", questions(20)), Import(tmp_path / "2", as_windows_writes_it)
    assert plain.run().files == windows.run().files


def test_an_exact_repeat_is_left_out_counted_and_told(tmp_path: Path) -> None:
    imported = Import(tmp_path, questions(10) + questions(1))
    report = imported.run()
    assert report.valid
    assert report.train_rows + report.validation_rows == 10
    assert report.problem_counts == {"DUPLICATE_EXAMPLE": 1}
    assert report.problems[0].line == 11
    assert "line 1" in report.problems[0].message


def test_one_bad_line_makes_the_version_invalid_and_leaves_the_report_alone(tmp_path: Path) -> None:
    Import(tmp_path, questions(10)).run()
    imported = Import(tmp_path, questions(10) + b'{"messages": [{"role": "bot", "content": "a"}]}\nno\n')
    refusal = imported.refusal()
    assert isinstance(refusal, InvalidData)
    assert refusal.reason == "DATASET_INVALID"
    assert refusal.violations[0].field == "line 11, /messages/0/role"
    assert refusal.violations[1].field == "line 12"
    assert imported.outputs == {"report.json", *AUDITS}
    assert imported.report.problem_counts == {"INVALID_JSON": 1, "UNKNOWN_ROLE": 1}
    assert (imported.report.valid, imported.report.train_rows, imported.report.files) == (False, 0, {})


def test_every_problem_is_counted_and_the_first_thousand_errors_are_listed(tmp_path: Path) -> None:
    imported = Import(tmp_path, questions(1) * 1_500 + b"{}\n" * 1_500)
    refusal = imported.refusal()
    assert imported.report.problem_counts == {"DUPLICATE_EXAMPLE": 1_499, "UNKNOWN_SHAPE": 1_500}
    assert [problem.line for problem in imported.report.problems] == list(range(1_501, 2_501))
    assert len(refusal.violations) == 20


def test_a_line_over_the_limit_is_told_and_the_next_one_is_read(tmp_path: Path) -> None:
    long_row = json.dumps({"prompt": "a", "completion": "b" * 3_000_000}).encode()
    imported = Import(tmp_path, long_row + b"\n" + b"no\n", max_line_bytes=100)
    imported.refusal()
    assert [(found.line, found.code) for found in imported.report.problems] == [
        (1, "LINE_TOO_LONG"),
        (2, "INVALID_JSON"),
    ]
    exact = questions(1)
    Import(tmp_path, exact.replace(b"\n", b"\r\n"), max_line_bytes=len(exact) - 1).run()


def test_examples_of_a_single_group_are_all_trained_on_with_a_warning(tmp_path: Path) -> None:
    report = Import(tmp_path, questions(1), split_seed=3).run()
    assert (report.train_rows, report.validation_rows) == (1, 0)
    assert report.problem_counts == {"SINGLE_GROUP": 1}


def test_too_few_examples_are_an_error_of_the_whole_file(tmp_path: Path) -> None:
    refusal = Import(tmp_path, b"\n\n").refusal()
    assert refusal.violations[0].field == "file"
    assert (
        Import(tmp_path, questions(3), profile={"name": "four", "min_examples": 4}).refusal().reason
        == "DATASET_INVALID"
    )


def test_more_rows_than_allowed_stop_the_import(tmp_path: Path) -> None:
    imported = Import(tmp_path, questions(4), max_rows=3)
    assert isinstance(imported.refusal(), LimitExceeded)
    assert imported.outputs == set()


def test_the_source_may_be_a_folder_with_one_file_of_any_name(tmp_path: Path) -> None:
    imported = Import(tmp_path, questions(5))
    source = imported.job.inputs / "source"
    source.rename(tmp_path / "tutoría.jsonl")
    source.mkdir()
    assert isinstance(imported.refusal(), InvalidInput)
    (tmp_path / "tutoría.jsonl").rename(source / "tutoría.jsonl")
    assert imported.run().rows == 5


def test_a_stop_request_leaves_nothing_half_written(tmp_path: Path) -> None:
    imported = Import(tmp_path, questions(1_000))
    imported.reporter.request_stop()
    with pytest.raises(Interrupted):
        imported.run()
    assert imported.outputs == set()


# R31
def test_what_events_tell_of_a_failure_quotes_no_row(tmp_path: Path) -> None:
    row = {"question": "¿Capital de Francia?", "choices": ["París", "Lyon"], "answer": "Marsella"}
    refusal = Import(tmp_path / "rows", json.dumps(row).encode()).refusal()
    told, _, rest = refusal.message.partition("\n")
    assert told == "1 error in 1 row (1 WRONG_ANSWER)"
    assert rest == "The first: line 1, /answer: 'Marsella' names none of the choices"
    latin = "\n".join(f'{{"prompt": "¿Qué año {n}?", "completion": "España"}}' for n in range(9)).encode("latin-1")
    told, _, rest = Import(tmp_path / "latin", latin).refusal().message.partition("\n")
    assert told.startswith("the file is in Windows-1252 or Latin-1; expected UTF-8")
    assert "Qué" not in told
    assert "Qué" in rest
