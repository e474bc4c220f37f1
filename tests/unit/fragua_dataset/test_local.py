"""A look at a file without any server: the same report, a summary for people, and exit codes for scripts."""

import json
from pathlib import Path

import pytest

from fragua_dataset.domain.version_report import VersionReport
from fragua_dataset.ingestion.local import validate_file
from tests.unit.fragua_dataset.importing import AUDITS, Import, questions


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "año.jsonl"
    path.write_bytes(questions(50) + questions(1))
    return path


def test_a_good_file_is_valid_and_its_report_is_that_of_an_import(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = tmp_path / "mine.yaml"
    profile.write_text("name: mine", "utf-8")
    report = tmp_path / "out.json"
    assert validate_file([str(file), "--profile", str(profile), "--report", str(report)]) == 0
    found = VersionReport.model_validate_json(report.read_bytes())
    imported = Import(tmp_path / "job", file.read_bytes(), profile={"name": "mine"}).run()
    assert found == imported.model_copy(update={"files": {}})
    printed = capsys.readouterr().out
    assert "51 rows: 40 to train on, 10 held out" in printed
    assert "line 51: warning: DUPLICATE_EXAMPLE" in printed


def test_the_rows_are_written_on_request_only(file: Path, tmp_path: Path) -> None:
    before = {path.name for path in tmp_path.iterdir()}
    assert validate_file([str(file)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == before
    assert validate_file([str(file), "--out", str(tmp_path / "out")]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "train.jsonl",
        "validation.jsonl",
        "samples.json",
        *AUDITS,
    }


def test_a_bad_file_is_invalid_and_every_problem_says_where(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_bytes(questions(3) + b'{"prompt": ""}\n')
    assert validate_file([str(file)]) == 1
    printed = capsys.readouterr().out
    assert "line 4, /prompt: error: EMPTY_TEXT" in printed
    assert "INVALID by the profile 'instruct'" in printed


def test_what_cannot_be_read_at_all_is_refused_with_a_reason(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_bytes("{}".encode("utf-16"))
    assert validate_file([str(file)]) == 2
    assert validate_file([str(tmp_path / "none.jsonl")]) == 2
    assert validate_file([str(file), "--profile", "instrukt"]) == 2
    profile = tmp_path / "perfil.yaml"
    profile.write_bytes("name: año\n".encode("latin-1"))
    assert validate_file([str(file), "--profile", str(profile)]) == 2
    told = capsys.readouterr().err.splitlines()
    said = ("UTF-16", "no such file", "business-requirements", "is not UTF-8")
    assert [part in line for part, line in zip(said, told, strict=True)] == [True] * 4


@pytest.mark.parametrize("checks", [{}, {"NEAR_DUPLICATE": "off", "INCONSISTENT_ANSWER": "off", "BARE_ANSWER": "off"}])
def test_holding_nothing_out_changes_nothing_else(checks: dict[str, str], file: Path, tmp_path: Path) -> None:
    every = dict.fromkeys(["QUESTION_LENGTH", "ANSWER_TOO_SHORT", "ANSWER_TOO_LONG"], "off")
    private = dict.fromkeys(["MOJIBAKE", "SECRET", "PERSONAL_DATA"], "off")
    profile = tmp_path / "mine.yaml"
    profile.write_text(json.dumps({"name": "mine", "checks": checks and checks | every | private}), "utf-8")
    report = tmp_path / "out.json"
    arguments = [str(file), "--profile", str(profile), "--report", str(report), "--validation-fraction", "0"]
    assert validate_file(arguments) == 0
    found = VersionReport.model_validate_json(report.read_bytes())
    assert (found.rows, found.train_rows, found.problem_counts) == (51, 50, {"DUPLICATE_EXAMPLE": 1})
    assert (found.problems[0].line, found.problems[0].message) == (51, "the messages are those of line 1")
