"""`fragua dataset` beyond the import: what is asked of the service, what is printed, and the exit code."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from fragua.dataset.v1 import dataset_pb2
from fragua_cli.exits import ExitCode
from tests.unit.fragua_cli.conftest import Fragua
from tests.unit.fragua_cli.suite_double import NEW, OLD, SuiteDouble

DATASET = "branches/tutor/datasets/ba"
PARENT = f"{DATASET}/versions/{OLD}"


# --- import


def test_profile_purpose_and_tokenizers_of_an_import_may_be_named(
    fragua: Fragua, suite: SuiteDouble, tmp_path: Path
) -> None:
    file, profile = tmp_path / "requisitos.parquet", tmp_path / "perfil.yaml"
    file.write_bytes(b"PAR1")
    profile.write_text("name: mío\n", "utf-8")
    named = ("--format", "parquet", "--shape", "requirements", "--purpose", "evaluation", "--stratum-field", "tema")
    done = fragua(
        "dataset", "import", str(file), "-n", "ba", *named, "--profile-file", str(profile), "--tokenizer", "tiny=2048"
    )
    assert done.exit_code == 0, done.output
    options = suite.dataset.headers[0].options
    assert (options.format, options.shape) == (dataset_pb2.FILE_FORMAT_PARQUET, dataset_pb2.ROW_SHAPE_REQUIREMENTS)
    assert (options.purpose, options.stratum_field) == (dataset_pb2.DATASET_PURPOSE_EVALUATION, "tema")
    assert options.profile_yaml == "name: mío\n"
    assert [(use.base_model, use.max_length) for use in options.tokenizers] == [("baseModels/tiny/revisions/bb", 2048)]


@pytest.mark.parametrize("given", ["tiny", "tiny=", "=12", "tiny=mucho"])
def test_a_tokenizer_without_a_length_is_refused(fragua: Fragua, tmp_path: Path, given: str) -> None:
    file = tmp_path / "datos.jsonl"
    file.write_text("{}\n", "utf-8")
    refused = fragua("dataset", "import", str(file), "-n", "ba", "--tokenizer", given)
    assert refused.exit_code == ExitCode.REFUSED
    assert "BASE=LENGTH" in refused.stderr


# R64
def test_a_name_that_no_dataset_can_have_is_refused_with_one_that_it_can(fragua: Fragua, tmp_path: Path) -> None:
    file = tmp_path / "premium_migrated.jsonl"
    file.write_text("{}\n", "utf-8")
    refused = fragua("dataset", "import", str(file), "-n", "premium_migrated")
    assert refused.exit_code == ExitCode.REFUSED
    assert "such as 'premium-migrated'" in refused.stderr


def test_a_profile_in_another_encoding_is_refused_in_words(fragua: Fragua, tmp_path: Path) -> None:
    file, profile = tmp_path / "datos.jsonl", tmp_path / "perfil.yaml"
    file.write_text("{}\n", "utf-8")
    profile.write_bytes("name: año\n".encode("latin-1"))
    refused = fragua("dataset", "import", str(file), "-n", "ba", "--profile-file", str(profile))
    assert refused.exit_code == ExitCode.FAILED
    assert "not UTF-8" in refused.stderr


def test_problems_are_counted_by_code_beyond_those_that_are_listed(fragua: Fragua) -> None:
    assert "all together: UNKNOWN_ROLE 1,200" in fragua("dataset", "problems", PARENT).stdout
    told = json.loads(fragua("dataset", "problems", PARENT, "--json").stdout)
    assert [problem["line"] for problem in told["problems"]] == ["17"]
    assert told["countByCode"] == {"UNKNOWN_ROLE": 1200}


# --- derive


# R83
def test_fix_takes_the_options_that_fixing_has_always_had(fragua: Fragua, suite: SuiteDouble) -> None:
    done = fragua("dataset", "fix", f"ba/{OLD}", "--fix-ids", "--convert-to-yaml-strings", "--validate")
    assert done.exit_code == 0, done.output
    assert f"{DATASET}/versions/{NEW} is READY: 8 rows to train on, 2 held out" in done.stdout
    (request,) = suite.dataset.asked
    assert (request.name, request.profile, request.dataset) == (PARENT, "business-requirements", "")
    assert list(request.fixers) == [dataset_pb2.FIXER_PAD_IDS, dataset_pb2.FIXER_YAML_STRINGS]


def test_fixers_may_be_named_one_by_one_and_unknown_ones_are_listed(fragua: Fragua, suite: SuiteDouble) -> None:
    named = ("--fixer", "repair-mojibake", "--fixer", "trim", "--fixer", "trim")
    assert fragua("dataset", "fix", PARENT, *named, "-n", "limpio").exit_code == 0
    (request,) = suite.dataset.asked
    assert list(request.fixers) == [dataset_pb2.FIXER_REPAIR_MOJIBAKE, dataset_pb2.FIXER_TRIM]
    assert request.dataset == "branches/tutor/datasets/limpio"
    for wrong in (("--fixer", "magia"), ()):
        refused = fragua("dataset", "fix", PARENT, *wrong)
        assert refused.exit_code == ExitCode.REFUSED
        assert "repair-mojibake" in refused.stderr


# R137
def test_a_filter_is_told_as_bounds(fragua: Fragua, suite: SuiteDouble, tmp_path: Path) -> None:
    profile = tmp_path / "perfil.yaml"
    profile.write_text("name: mío\n", "utf-8")
    bounds = ("--min-score", "0.7", "--metric", "turns=1..4", "--question-chars", "10..100", "--answer-chars", "100..")
    done = fragua("dataset", "filter", PARENT, *bounds, "--min-examples", "100", "--profile-file", str(profile))
    assert done.exit_code == 0, done.output
    asked = suite.dataset.asked[0].filter
    assert asked.min_examples == 100
    assert asked.profile_yaml == "name: mío\n"
    assert asked.metrics["score"] == dataset_pb2.Bounds(min=0.7)
    assert asked.metrics["turns"] == dataset_pb2.Bounds(min=1, max=4)
    assert (asked.question_chars.max, asked.answer_chars.min) == (100, 100)
    assert not asked.answer_chars.HasField("max")


def test_score_may_be_bounded_from_above_too(fragua: Fragua, suite: SuiteDouble) -> None:
    assert fragua("dataset", "filter", PARENT, "--min-score", "0.7", "--metric", "score=..0.9").exit_code == 0
    assert suite.dataset.asked[0].filter.metrics["score"] == dataset_pb2.Bounds(min=0.7, max=0.9)


@pytest.mark.parametrize("interval", ["score", "score=", "score=..", "score=mucho..", "score=0.7"])
def test_an_interval_that_cannot_be_read_is_refused(fragua: Fragua, suite: SuiteDouble, interval: str) -> None:
    refused = fragua("dataset", "filter", PARENT, "--metric", interval)
    assert refused.exit_code == ExitCode.REFUSED
    assert "MIN..MAX" in refused.stderr
    assert not suite.dataset.asked


def test_split_and_merge_say_where_the_new_version_goes(fragua: Fragua, suite: SuiteDouble) -> None:
    assert fragua("dataset", "split", PARENT, "--validation-fraction", "0.5", "--seed", "7").exit_code == 0
    assert fragua("dataset", "merge", f"ba/{OLD}", "otro", "--name", "todo", "--no-wait").exit_code == 0
    divided, merged = suite.dataset.asked
    assert (divided.name, divided.validation_fraction, divided.split_seed) == (PARENT, 0.5, 7)
    assert merged.parent == "branches/tutor/datasets/todo"
    assert list(merged.names) == [PARENT, f"branches/tutor/datasets/otro/versions/{OLD}"], "the newest one with rows"


# --- review


@pytest.mark.parametrize(("verb", "state"), [("approve", "READY"), ("reject", "REJECTED"), ("archive", "ARCHIVED")])
def test_a_decision_names_who_and_why(fragua: Fragua, suite: SuiteDouble, verb: str, state: str) -> None:
    done = fragua("dataset", verb, PARENT, "--reviewer", "Íñigo Muñoz", "--reason", "Está bien.")
    assert done.exit_code == 0, done.output
    assert f"{PARENT} is {state}" in done.stdout
    (request,) = suite.dataset.asked
    assert (request.name, request.reviewer, request.reason) == (PARENT, "Íñigo Muñoz", "Está bien.")


def test_the_reviewer_is_whoever_is_at_work_and_the_sample_is_kept(
    fragua: Fragua, suite: SuiteDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAGUA_REVIEWER", "Begoña")
    sample = ("--sample-seed", "7", "--sample-size", "20")
    assert fragua("dataset", "approve", PARENT, "-r", "Está bien.", *sample).exit_code == 0
    (request,) = suite.dataset.asked
    assert (request.reviewer, request.sample_seed, request.sample_size) == ("Begoña", 7, 20)


# --- sign and verify


# R33
def test_a_new_key_signs_here_and_stays_here(fragua: Fragua, suite: SuiteDouble, tmp_path: Path) -> None:
    file = tmp_path / "clave.pem"
    made = json.loads(fragua("dataset", "keygen", "--out", str(file), "--json").stdout)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    done = fragua("dataset", "sign", PARENT, "--key", str(file), "--signer", "Íñigo Muñoz")
    assert done.exit_code == 0, done.output
    (request,) = suite.dataset.asked
    assert request.public_key == base64.b64decode(made["public_key"])
    message = f"fragua dataset version v1\n{PARENT}\n{'ab' * 32}\n".encode()
    Ed25519PublicKey.from_public_bytes(request.public_key).verify(request.signature, message)
    private = file.read_bytes()
    assert fragua("dataset", "keygen", "--out", str(file)).exit_code == ExitCode.REFUSED
    assert file.read_bytes() == private, "a key is never overwritten"


def test_a_key_that_others_can_read_or_that_is_none_does_not_sign(
    fragua: Fragua, suite: SuiteDouble, tmp_path: Path
) -> None:
    file = tmp_path / "clave.pem"
    fragua("dataset", "keygen", "--out", str(file))
    file.chmod(0o644)
    assert "chmod 600" in fragua("dataset", "sign", PARENT, "--key", str(file)).stderr
    file.write_text("no es una clave", "utf-8")
    file.chmod(0o600)
    refused = fragua("dataset", "sign", PARENT, "--key", str(file))
    assert refused.exit_code == ExitCode.REFUSED
    assert "keygen" in refused.stderr
    assert not suite.dataset.asked


def test_what_was_tampered_with_is_named_and_not_signed(fragua: Fragua, suite: SuiteDouble, tmp_path: Path) -> None:
    intact = fragua("dataset", "verify", PARENT)
    assert intact.exit_code == 0
    assert "10 rows were checked" in intact.stdout
    assert "Íñigo Muñoz" in intact.stdout
    suite.dataset.faults = ["train.jsonl, line 17: its id is another one"]
    found = fragua("dataset", "verify", PARENT)
    assert found.exit_code == ExitCode.REFUSED
    assert "line 17" in found.stdout
    file = tmp_path / "clave.pem"
    fragua("dataset", "keygen", "--out", str(file))
    assert fragua("dataset", "sign", PARENT, "--key", str(file)).exit_code == ExitCode.REFUSED
    assert not suite.dataset.asked
