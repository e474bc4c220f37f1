"""Command lines against real gRPC servers: what is sent, what is printed, and the exit code."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

from fragua.dataset.v1 import dataset_pb2
from fragua_cli.exits import ExitCode
from tests.unit.fragua_cli.conftest import Fragua
from tests.unit.fragua_cli.suite_double import EXPORT, GGUF, OLD, SuiteDouble

ROWS = '{"instruction": "¿Qué es el ñandú?", "output": "Un ave."}\n' * 20_000


def test_help_comes_without_importing_grpc() -> None:
    program = "import fragua_cli.__main__, sys; sys.exit('grpc' in sys.modules or 'google' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_every_command_explains_itself(fragua: Fragua) -> None:
    for noun in ("branch", "dataset", "base", "train", "adapter", "eval", "export", "events"):
        shown = fragua(noun, "--help")
        assert shown.exit_code == 0
        assert "Usage:" in shown.stdout


def test_status_names_every_service(fragua: Fragua, suite: SuiteDouble) -> None:
    answer = json.loads(fragua("status", "--json").stdout)
    assert {service: each["state"] for service, each in answer.items()} == dict.fromkeys(
        ("dataset", "trainer", "evaluator", "exporter"), "SERVING"
    )


def test_json_is_the_canonical_form_of_the_protos_wherever_the_option_stands(fragua: Fragua) -> None:
    before, after = fragua("--json", "branch", "create", "ba"), fragua("branch", "create", "ba", "--json")
    assert json.loads(before.stdout) == json.loads(after.stdout)
    assert json.loads(after.stdout)["name"] == "branches/ba"


def test_a_list_goes_through_all_pages(fragua: Fragua, suite: SuiteDouble) -> None:
    suite.dataset.branch_names = ["antropologia", "ba", "tutor"]
    names = [branch["name"] for branch in json.loads(fragua("branch", "list", "--json").stdout)]
    assert names == ["branches/antropologia", "branches/ba", "branches/tutor"]
    assert "there are more" in fragua("branch", "list", "--limit", "2").stdout


# --- errors


def test_a_bad_request_names_every_violation(fragua: Fragua) -> None:
    refused = fragua("branch", "create", "Ñandú!", "--display-name", "x" * 121)
    assert refused.exit_code == ExitCode.REFUSED
    assert "branch_id" in refused.stderr
    assert "display_name" in refused.stderr
    assert "Traceback" not in refused.output


def test_errors_are_json_for_programs(fragua: Fragua) -> None:
    refused = fragua("branch", "show", "nada", "--json")
    assert refused.exit_code == ExitCode.NOT_FOUND
    assert refused.stdout == ""
    assert json.loads(refused.stderr)["error"] == {
        "reason": "NOT_FOUND",
        "message": "branches/nada does not exist",
        "violations": [],
    }


def test_a_suite_that_is_not_there_is_told_from_one_that_refuses(fragua: Fragua) -> None:
    away = fragua("--patience", "0", "branch", "list", "--endpoint", "127.0.0.1:1")
    assert away.exit_code == ExitCode.UNAVAILABLE
    assert "fragua up" in away.stderr


def test_a_branch_must_be_named_when_there_are_several(fragua: Fragua, suite: SuiteDouble) -> None:
    suite.dataset.branch_names = ["ba", "tutor"]
    refused = fragua("train", "watch", "j1")
    assert refused.exit_code == ExitCode.REFUSED
    assert "--branch" in refused.stderr


# --- uploads


def test_a_dataset_arrives_whole_and_is_announced_by_digest(fragua: Fragua, suite: SuiteDouble, tmp_path: Path) -> None:
    file = tmp_path / "datos.jsonl"
    file.write_text(ROWS, "utf-8")
    done = fragua("dataset", "import", str(file), "--name", "facts", "--validation-fraction", "0.3", "--seed", "5")
    assert done.exit_code == 0, done.output
    assert "8 rows to train on, 2 held out" in done.stdout
    assert suite.dataset.received == ROWS.encode()
    header = suite.dataset.headers[0]
    assert header.parent == "branches/tutor/datasets/facts"
    assert header.filename == "datos.jsonl"
    assert header.sha256 == hashlib.sha256(ROWS.encode()).hexdigest()
    assert (header.options.validation_fraction, header.options.split_seed) == (0.3, 5)


def test_format_and_shape_of_a_file_may_be_named(fragua: Fragua, suite: SuiteDouble, tmp_path: Path) -> None:
    file = tmp_path / "preguntas.csv"
    file.write_text("question,choices,answer\n", "utf-8")
    named = ("--format", "csv", "--shape", "multiple_choice")
    assert fragua("dataset", "import", str(file), "--name", "facts", "--no-wait", *named).exit_code == 0
    options = suite.dataset.headers[0].options
    assert options.format == dataset_pb2.FILE_FORMAT_CSV
    assert options.shape == dataset_pb2.ROW_SHAPE_MULTIPLE_CHOICE


def test_an_upload_that_broke_is_sent_again_under_the_same_request_id(
    fragua: Fragua, suite: SuiteDouble, tmp_path: Path
) -> None:
    file = tmp_path / "datos.jsonl"
    file.write_text(ROWS, "utf-8")
    suite.dataset.refuse_uploads = 1
    assert fragua("dataset", "import", str(file), "--name", "facts", "--no-wait").exit_code == 0
    assert suite.dataset.received == ROWS.encode()
    assert len(suite.dataset.headers) == 2
    assert len({header.request_id for header in suite.dataset.headers}) == 1


def test_an_upload_that_broke_off_goes_on_from_the_byte_where_it_stopped(
    fragua: Fragua, suite: SuiteDouble, tmp_path: Path
) -> None:
    file = tmp_path / "datos.jsonl"
    file.write_text(ROWS, "utf-8")
    suite.dataset.break_after = 600_000
    assert fragua("dataset", "import", str(file), "--name", "facts", "--no-wait").exit_code == 0
    assert suite.dataset.received == ROWS.encode()
    first, second = suite.dataset.headers
    assert (first.resumable, first.offset) == (True, 0)
    assert second.offset >= 600_000
    assert second.request_id == first.request_id


def test_an_upload_that_ends_without_success_says_how_to_go_on(
    fragua: Fragua, suite: SuiteDouble, tmp_path: Path
) -> None:
    file = tmp_path / "datos.jsonl"
    file.write_text(ROWS, "utf-8")
    suite.dataset.refuse_uploads = 1
    given = ("dataset", "import", str(file), "--name", "facts", "--no-wait", "--request-id", "una")
    broken = fragua("--patience", "0", *given)
    assert broken.exit_code == ExitCode.UNAVAILABLE
    assert "--request-id una" in broken.stderr


def test_a_file_that_is_not_there_is_named(fragua: Fragua, suite: SuiteDouble) -> None:
    refused = fragua("dataset", "import", "nada.jsonl", "--name", "facts")
    assert refused.exit_code == ExitCode.REFUSED
    assert "nada.jsonl is no file" in refused.stderr


def test_invalid_rows_are_listed_with_their_lines(fragua: Fragua, tmp_path: Path) -> None:
    file = tmp_path / "malo.jsonl"
    file.write_text(ROWS, "utf-8")
    refused = fragua("dataset", "import", str(file), "--name", "malo")
    assert refused.exit_code == ExitCode.REFUSED
    for part in ("17", "/messages/2/role", "UNKNOWN_ROLE", "'bot' is no role", "say assistant"):
        assert part in refused.stdout


def test_a_base_model_is_sent_without_what_it_does_not_need(fragua: Fragua, suite: SuiteDouble, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors", "README.md", "pytorch_model.bin"):
        (tmp_path / name).write_bytes(name.encode() * 100_000)
    assert fragua("base", "import", str(tmp_path), "--name", "tiny").exit_code == 0
    assert suite.trainer.files == {name: name.encode() * 100_000 for name in ("config.json", "model.safetensors")}


def test_a_gguf_file_is_sent_alone_and_its_warning_is_shown(fragua: Fragua, suite: SuiteDouble, tmp_path: Path) -> None:
    (tmp_path / "tutor-q8_0.gguf").write_bytes(b"GGUF")
    sent = fragua("base", "import", str(tmp_path / "tutor-q8_0.gguf"), "--name", "tutor")
    assert sent.exit_code == 0
    assert suite.trainer.files == {"tutor-q8_0.gguf": b"GGUF"}
    assert "dequantized from tutor-q8_0.gguf" in sent.stdout


def test_another_file_is_no_base_model(fragua: Fragua, suite: SuiteDouble, tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"a pickle")
    refused = fragua("base", "import", str(tmp_path / "pytorch_model.bin"), "--name", "tiny")
    assert refused.exit_code == ExitCode.REFUSED
    assert "or a .gguf file" in refused.stderr
    assert suite.trainer.files == {}


def test_a_model_is_mirrored_at_its_commit_and_over_an_outage_of_the_hub(fragua: Fragua, suite: SuiteDouble) -> None:
    done = fragua(
        *("base", "mirror", "microsoft/Phi-3.5-mini-instruct", "--revision", "a" * 40),
        *("--name", "phi", "--token-variable", "FRAGUA_HUB_TOKEN"),
    )
    assert done.exit_code == 0, done.output
    assert "baseModels/phi/revisions/aa: phi3" in done.stdout
    first, second = suite.trainer.mirrored
    assert first == second
    assert (first.hub_id, first.revision, first.token_variable) == (
        "microsoft/Phi-3.5-mini-instruct",
        "a" * 40,
        "FRAGUA_HUB_TOKEN",
    )


# --- jobs


def test_training_takes_the_newest_ready_version_and_the_newest_revision(fragua: Fragua, suite: SuiteDouble) -> None:
    done = fragua("train", "start", "--dataset", "facts", "--base", "tiny", "--rank", "8", "--target", "q_proj")
    assert done.exit_code == 0, done.output
    assert "branches/tutor/adapters/1" in done.stdout
    job = suite.trainer.created[0].training_job
    assert job.dataset_version == f"branches/tutor/datasets/facts/versions/{OLD}"
    assert job.base_model == "baseModels/tiny/revisions/bb"
    assert (job.lora.rank, list(job.lora.target_modules)) == (8, ["q_proj"])
    assert not job.lora.HasField("alpha")  # the service's default, not ours
    assert not job.schedule.HasField("learning_rate")


def test_watching_goes_on_over_broken_connections(fragua: Fragua, suite: SuiteDouble) -> None:
    watched = fragua("train", "watch", "broken")
    assert watched.exit_code == 0
    assert suite.trainer.watches == 3
    assert "training 40/300 · loss 0.51" in watched.stdout


def test_watching_prints_one_line_of_json_for_every_change(fragua: Fragua) -> None:
    lines = fragua("train", "watch", "j1", "--json").stdout.splitlines()
    assert [json.loads(line)["status"]["state"] for line in lines] == ["JOB_STATE_RUNNING", "JOB_STATE_SUCCEEDED"]


def test_the_exit_code_tells_how_a_job_ended(fragua: Fragua) -> None:
    failed = fragua("train", "watch", "failed")
    assert failed.exit_code == ExitCode.FAILED
    assert "out of memory" in failed.stdout
    assert fragua("train", "watch", "cancelled").exit_code == ExitCode.CANCELLED


# --- downloads


def test_a_download_goes_on_where_the_last_one_stopped(fragua: Fragua, suite: SuiteDouble, tmp_path: Path) -> None:
    (tmp_path / "tutor-1-f16.gguf.part").write_bytes(GGUF[:1000])
    suite.exporter.break_after = 200_000
    fetched = fragua("export", "download", EXPORT, "--to", str(tmp_path))
    assert fetched.exit_code == 0, fetched.output
    assert (tmp_path / "tutor-1-f16.gguf").read_bytes() == GGUF
    assert suite.exporter.offsets[0] == 1000
    assert suite.exporter.offsets[1] > 200_000
    assert [file.name for file in tmp_path.iterdir()] == ["tutor-1-f16.gguf"]


def test_a_file_that_is_already_there_is_not_fetched_again(fragua: Fragua, suite: SuiteDouble, tmp_path: Path) -> None:
    (tmp_path / "tutor-1-f16.gguf").write_bytes(GGUF)
    fetched = json.loads(fragua("export", "download", EXPORT, "--to", str(tmp_path), "--json").stdout)
    assert fetched["files"][0]["sha256"] == hashlib.sha256(GGUF).hexdigest()
    assert suite.exporter.offsets == []


def test_tampered_bytes_never_get_the_files_name(fragua: Fragua, suite: SuiteDouble, tmp_path: Path) -> None:
    suite.exporter.content = GGUF[:-1] + b"\x00"
    refused = fragua("export", "download", EXPORT, "--to", str(tmp_path))
    assert refused.exit_code == ExitCode.FAILED
    assert "other bytes" in refused.stderr
    assert list(tmp_path.iterdir()) == []


# --- events


def test_events_inside_one_process_cannot_be_watched_from_outside(fragua: Fragua) -> None:
    refused = fragua("events", "tail", "--events-url", "memory://")
    assert refused.exit_code == ExitCode.REFUSED
    assert "nats://" in refused.stderr
