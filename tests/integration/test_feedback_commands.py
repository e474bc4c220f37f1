"""`fragua branch policy`, `fragua branch trigger` and the feedback commands of `fragua dataset`, against the suite."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fragua_cli.__main__ import app
from fragua_cli.exits import ExitCode
from tests.embedded import EmbeddedSuite

Fragua = Callable[..., Result]


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedSuite]:
    with EmbeddedSuite(tmp_path_factory.mktemp("suite")) as suite:
        yield suite


@pytest.fixture
def fragua(suite: EmbeddedSuite, monkeypatch: pytest.MonkeyPatch) -> Fragua:
    monkeypatch.setenv("FRAGUA_ENDPOINT", suite.endpoint("dataset"))
    monkeypatch.setenv("FRAGUA_BRANCH", "tutor")

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments))

    assert run("branch", "create", "tutor", "--display-name", "Tutoría").exit_code == ExitCode.OK
    return run


def as_json(result: Result) -> Any:
    assert result.exit_code == ExitCode.OK, result.output
    return json.loads(result.stdout)


def attempts_file(folder: Path, *rows: dict[str, Any] | str) -> Path:
    file = folder / "intentos.jsonl"
    file.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)) + "\n" for row in rows)
    )
    return file


def row(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "attempt_id": f"a{number}",
        "exercise_type": "abierto",
        "user_id": "usuaria-1",
        "accuracy": 0.96,
        "question": f"¿Qué dice el ñandú número {number}?",
        "answer": f"El ñandú número {number} no dice nada.",
    } | fields


def test_attempts_of_a_file_become_samples_and_then_a_version(fragua: Fragua, tmp_path: Path) -> None:
    # More than one batch.
    file = attempts_file(tmp_path, *(row(number, accuracy=0.5 if number < 10 else 0.99) for number in range(1_500)))
    assert as_json(fragua("dataset", "attempts", str(file), "--json")) == {
        "received": "1500",
        "accepted": "1490",
        "belowAccuracy": "10",
        "repeatedAttempts": "0",
    }
    again = fragua("dataset", "attempts", str(file))
    assert "0 became samples" in again.stdout
    assert "1,500 were known" in again.stdout

    shown = fragua("dataset", "progress").stdout
    assert "1,490" in shown
    made = fragua("dataset", "consolidate")
    assert made.exit_code == ExitCode.OK, made.output
    assert "branches/tutor/datasets/abierto/versions/" in made.stdout
    assert "is READY" in made.stdout
    assert "nothing new" in fragua("dataset", "consolidate").stdout
    assert as_json(fragua("dataset", "progress", "--json"))["cycles"][0]["attempts"] == "1500"


def test_every_line_of_a_file_that_is_no_attempt_is_named_and_nothing_is_sent(fragua: Fragua, tmp_path: Path) -> None:
    file = attempts_file(
        tmp_path,
        row(1, exercise_type="nada"),
        "{no json",
        row(2, accuracy=1.5),
        "",
        row(3, usuario="x"),
        "[]",
        row(4, exercise_type="Ñ"),
    )
    refused = fragua("dataset", "attempts", str(file), "--json")
    assert refused.exit_code == ExitCode.REFUSED
    places = [violation["field"] for violation in json.loads(refused.stderr)["error"]["violations"]]
    assert places == ["line 2", "line 3, accuracy", "line 5", "line 6", "line 7, exercise_type"]
    types = as_json(fragua("dataset", "progress", "--json"))["exerciseTypes"]
    assert "nada" not in [each["exerciseType"] for each in types]


def test_what_only_the_service_can_see_is_told_by_its_line_too(fragua: Fragua, tmp_path: Path) -> None:
    file = attempts_file(tmp_path, row(1, choices=["a", "b"]), "", row(2, metadata={"quien": "usuaria-1"}))
    refused = fragua("dataset", "attempts", str(file), "--json")
    places = [violation["field"] for violation in json.loads(refused.stderr)["error"]["violations"]]
    assert places == ["line 1, answer", "line 3, metadata"]
    assert "usuaria-1" not in refused.output


def test_an_output_is_rated_from_a_file_or_from_the_line(fragua: Fragua, tmp_path: Path) -> None:
    (tmp_path / "salida.yaml").write_text("title: Panadería\n")
    asked = ("--concept", "una panadería", "--output-file", str(tmp_path / "salida.yaml"), "--request-id", "q1")
    pooled = as_json(fragua("dataset", "rate", "5", *asked, "--json"))
    assert (pooled["pooled"], pooled["output"]) == (True, "title: Panadería\n")
    assert "too few stars" in fragua("dataset", "rate", "2", "--concept", "x", "--output", "y").stdout
    assert fragua("dataset", "rate", "2", "--concept", "x").exit_code == ExitCode.REFUSED


def test_a_policy_is_changed_by_what_is_given_alone(fragua: Fragua, tmp_path: Path) -> None:
    key = as_json(fragua("dataset", "keygen", "--out", str(tmp_path / "key.pem"), "--json"))["public_key"]
    before = as_json(fragua("branch", "policy", "show", "--json"))
    options = ("--personal-data", "refuse", "--schedule", "never", "--trust", f"Íñigo={key}")
    after = as_json(fragua("branch", "policy", "set", *options, "--json"))
    assert after["trustedKeys"] == {"Íñigo": key}
    assert (after["personalData"], after["consolidationSchedule"]) == ("PERSONAL_DATA_RULE_REFUSE", "")
    unchanged = set(before) - {"personalData", "consolidationSchedule", "trustedKeys", "etag", "updateTime"}
    assert {name: after[name] for name in unchanged} == {name: before[name] for name in unchanged}
    assert as_json(fragua("branch", "policy", "set", "--distrust", "Íñigo", "--json"))["trustedKeys"] == {}

    refused = fragua("branch", "policy", "set", "--schedule", "a las dos", "--profile", "nada")
    assert refused.exit_code == ExitCode.REFUSED
    assert "policy.consolidation_schedule" in refused.stderr
    assert "policy.profile" in refused.stderr
    for key in ("x=ñ", "x=AAAA", "x"):
        assert fragua("branch", "policy", "set", "--trust", key).exit_code == ExitCode.REFUSED


# R18, R28, R60, R172
def test_the_usual_three_rules_are_added_by_one_option(fragua: Fragua) -> None:
    assert fragua("branch", "trigger", "add", "--defaults").exit_code == ExitCode.OK
    assert fragua("branch", "trigger", "add", "--defaults").exit_code == ExitCode.OK, "again changes nothing"
    rules = {each["name"].rpartition("/")[2]: each for each in as_json(fragua("branch", "trigger", "list", "--json"))}
    assert rules["enough-samples"]["sampleCount"]["minSamples"] == "200"
    assert rules["high-accuracy"]["accuracy"] == {"minMeanAccuracy": 0.92, "cycles": 2}
    assert rules["monthly"]["schedule"]["cron"] == "0 0 1 * *"


def test_a_rule_is_added_explained_disabled_and_deleted(fragua: Fragua) -> None:
    trigger = ("branch", "trigger")
    added = fragua(*trigger, "add", "oral-y-mucho", "--samples", "10000", "--type", "oral")
    assert "10,000 samples of oral" in added.stdout
    assert "would not fire" in fragua(*trigger, "explain", "oral-y-mucho").stdout
    assert as_json(fragua(*trigger, "disable", "oral-y-mucho", "--json"))["disabled"] is True
    assert as_json(fragua(*trigger, "enable", "oral-y-mucho", "--json"))["disabled"] is False
    assert "has not fired" in fragua(*trigger, "firings", "oral-y-mucho").stdout
    assert fragua(*trigger, "delete", "oral-y-mucho").exit_code == ExitCode.OK
    assert fragua(*trigger, "show", "oral-y-mucho").exit_code == ExitCode.NOT_FOUND
    for arguments in (("x",), ("--samples", "3"), ("x", "--samples", "3", "--cron", "0 0 1 * *")):
        assert fragua(*trigger, "add", *arguments).exit_code == ExitCode.REFUSED


def test_rules_of_ones_own_come_from_a_file(fragua: Fragua, tmp_path: Path) -> None:
    (tmp_path / "reglas.yaml").write_text("semanal:\n  schedule: {cron: 0 0 * * 1}\n")
    added = fragua("branch", "trigger", "add", "--rules", str(tmp_path / "reglas.yaml"), "--json")
    assert json.loads(added.stdout)["schedule"]["cron"] == "0 0 * * 1"
    (tmp_path / "reglas.yaml").write_text("semanal: {cada: lunes}\n")
    refused = fragua("branch", "trigger", "add", "--rules", str(tmp_path / "reglas.yaml"))
    assert refused.exit_code == ExitCode.REFUSED
    assert "cada" in refused.stderr
