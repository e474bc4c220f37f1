"""`fragua dataset rows|sample|audit|diff|convert|download`, and importing objects, against the suite."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fragua_cli.__main__ import app
from fragua_cli.exits import ExitCode
from tests.dataset_client import jsonl
from tests.embedded import EmbeddedSuite

Fragua = Callable[..., Result]
RECORDS = [
    {
        "concept": f"Panadería número {number}",
        "title": f"Reparto de pan a domicilio {number}",
        "description": f"La panadería {number} reparte pan cada mañana, y quien lo espera pregunta dónde está. " * 2,
        "functional_requirements": "- FR01: Ver el reparto\n- FR02: Avisar del retraso\n",
        "non_functional_requirements": "- NFR001: Responder en un segundo\n- NFR002: Hablar español\n",
        "constraints": "- C001: Sin coste\n- C002: Sin papel\n",
    }
    for number in range(10)
]


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedSuite]:
    with EmbeddedSuite(tmp_path_factory.mktemp("suite")) as suite:
        runner = CliRunner(env={"FRAGUA_ENDPOINT": suite.endpoint("dataset")})
        assert runner.invoke(app, ["branch", "create", "tutor", "--display-name", "Tutoría"]).exit_code == ExitCode.OK
        file = suite.data_dir / "pan.jsonl"
        file.write_bytes(jsonl(RECORDS))
        imported = runner.invoke(app, ["dataset", "import", str(file), "--name", "pan", "--branch", "tutor"])
        assert imported.exit_code == ExitCode.OK, imported.output
        yield suite


@pytest.fixture
def fragua(suite: EmbeddedSuite, monkeypatch: pytest.MonkeyPatch) -> Fragua:
    """There is a dataset `pan` with one version."""
    monkeypatch.setenv("FRAGUA_ENDPOINT", suite.endpoint("dataset"))
    monkeypatch.setenv("FRAGUA_BRANCH", "tutor")
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["dataset", *arguments])

    return run


def as_json(result: Result) -> Any:
    assert result.exit_code == ExitCode.OK, result.output
    return json.loads(result.stdout)


def test_rows_are_listed_whole_or_in_a_table(fragua: Fragua) -> None:
    rows = as_json(fragua("rows", "pan", "--limit", "500", "--json"))
    assert {row["record"]["concept"] for row in rows} == {record["concept"] for record in RECORDS}
    assert {row["side"] for row in rows} == {"DATASET_SIDE_TRAIN", "DATASET_SIDE_VALIDATION"}
    shown = fragua("rows", "pan", "--side", "train", "--limit", "3")
    assert shown.stdout.count("Panadería número") == 3
    assert "there are more" in shown.stdout


def test_a_sample_comes_again_with_its_seed(fragua: Fragua) -> None:
    first = as_json(fragua("sample", "pan", "--size", "4", "--seed", "7", "--json"))
    assert len(first["rows"]) == 4
    assert as_json(fragua("sample", "pan", "--size", "4", "--seed", "7", "--json")) == first
    assert "--sample-seed 7 --sample-size 4" in fragua("sample", "pan", "--size", "4", "--seed", "7").stdout


# R78
def test_an_audit_prints_the_report_as_it_has_always_been_written(fragua: Fragua) -> None:
    report = as_json(fragua("audit", "pan", "--json"))
    assert report["total_examples"] == 10
    assert report["id_format_issues"]["affected_ids"] == []  # the profile asks for no ids
    assert set(report) >= {"min_requirements_violations", "yaml_validation_errors", "valid_examples"}
    assert all(isinstance(report[name], int) for name in ("total_examples", "yaml_validation_errors", "valid_examples"))
    shown = fragua("audit", "pan").stdout
    assert "TRAIN" in shown
    assert "VALIDATION" in shown


# R79
def test_an_audit_writes_one_report_for_each_side(fragua: Fragua, tmp_path: Path) -> None:
    assert fragua("audit", "pan", "--out", str(tmp_path / "informe")).exit_code == ExitCode.OK
    sides = [
        json.loads((tmp_path / "informe" / file).read_text("utf-8"))
        for file in ("train_audit_report.json", "val_audit_report.json")
    ]
    assert sum(report["total_examples"] for report in sides) == 10
    assert all(0 < report["total_examples"] < 10 for report in sides)


def test_a_diff_tells_what_a_fix_did(fragua: Fragua) -> None:
    fixed = fragua("fix", "pan", "--fix-ids", "--name", "mendado")
    assert fixed.exit_code == ExitCode.OK, fixed.output
    found = as_json(fragua("diff", "pan", "mendado", "--json", "--limit", "2"))
    assert (found["changed"], found["unchanged"], len(found["rows"]), found["more"]) == ("10", "0", 2, True)
    shown = fragua("diff", "pan", "mendado")
    assert "10 changed, 0 added, 0 removed" in shown.stdout
    assert "/record/functional_requirements" in shown.stdout


def test_a_version_is_converted_and_fetched(fragua: Fragua, tmp_path: Path) -> None:
    done = fragua("convert", "pan", "--format", "hf-folder", "--to", str(tmp_path / "hf"))
    assert done.exit_code == ExitCode.OK, done.output
    files = {path.relative_to(tmp_path / "hf").as_posix() for path in (tmp_path / "hf").rglob("*") if path.is_file()}
    assert files == {"README.md", "data/train.parquet", "data/validation.parquet"}
    listed = fragua("convert", "pan", "--format", "chat-jsonl")
    assert "train.jsonl" in listed.stdout
    name = next(word for word in listed.stdout.split() if word.endswith("/conversions/chat-jsonl"))
    found = as_json(fragua("conversions", "pan", "--json"))
    assert [each["name"].rpartition("/")[2] for each in found] == ["chat-jsonl", "hf-folder"]
    assert "SUCCEEDED" in fragua("conversions").stdout
    assert fragua("watch", name).exit_code == ExitCode.OK
    assert fragua("cancel", name).exit_code == ExitCode.REFUSED
    fetched = as_json(fragua("download", name, "--to", str(tmp_path / "chat"), "--file", "train.jsonl", "--json"))
    assert [Path(file["path"]).name for file in fetched["files"]] == ["train.jsonl"]


def test_the_files_of_a_version_are_fetched(fragua: Fragua, tmp_path: Path) -> None:
    assert fragua("download", "pan", "--to", str(tmp_path)).exit_code == ExitCode.OK
    assert {"train.jsonl", "validation.jsonl", "report.json"} <= {file.name for file in tmp_path.iterdir()}
    missing = fragua("download", "pan", "--to", str(tmp_path), "--file", "nada")
    assert missing.exit_code == ExitCode.NOT_FOUND


def test_an_object_of_the_store_is_imported_by_its_key(fragua: Fragua, suite: EmbeddedSuite) -> None:
    place = suite.data_dir / "artifacts" / "incoming" / "otro.jsonl"
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(jsonl([{**record, "title": f"Otra {record['title']}"} for record in RECORDS]))
    assert fragua("import", "incoming/otro.jsonl", "--in-store", "--name", "otro").exit_code == ExitCode.OK
    refused = fragua("import", "s3://otro/incoming/otro.jsonl", "--name", "otro")
    assert refused.exit_code == ExitCode.REFUSED
    assert "the artifact store is a folder" in refused.stderr
