"""Command lines of `fragua train`: what reaches the trainer, and what of its answers is shown."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from fragua.common.v1 import job_pb2
from fragua.trainer.v1 import trainer_pb2
from fragua_cli.exits import ExitCode
from fragua_cli.following import follow
from fragua_cli.loss_course import LossCourse, sparkline
from fragua_cli.output import Output
from tests.unit.fragua_cli.conftest import Fragua
from tests.unit.fragua_cli.suite_double import OLD, SuiteDouble

INPUTS = ("--dataset", "facts", "--base", "tiny")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "receta.yaml"
    file.write_text("# de la señora Núñez\nlora: {rank: 4, alpha: 8}\n", "utf-8")
    return file


def ordered(suite: SuiteDouble) -> trainer_pb2.TrainingJob:
    job: trainer_pb2.TrainingJob = suite.trainer.created[-1].training_job
    return job


# --- start


def test_a_preset_travels_by_name_and_nothing_else_is_said(fragua: Fragua, suite: SuiteDouble) -> None:
    assert fragua("train", "start", *INPUTS, "--preset", "tutor", "--no-watch").exit_code == 0
    job = ordered(suite)
    assert (job.preset, job.spec_yaml) == ("tutor", "")
    # What is said here would win over the preset.
    assert job.schedule.ListFields() == []
    assert job.precision == trainer_pb2.PRECISION_UNSPECIFIED


def test_a_file_travels_as_it_is(fragua: Fragua, suite: SuiteDouble, file: Path) -> None:
    assert fragua("train", "start", *INPUTS, "--spec", str(file), "--no-watch").exit_code == 0
    assert ordered(suite).spec_yaml == file.read_text("utf-8")


def test_single_values_win_over_the_file(fragua: Fragua, suite: SuiteDouble, file: Path) -> None:
    values = ("--set", "lora.rank=8", "--set", "lora.target_modules=[q_proj, o_proj]", "--set", "retry_smaller=true")
    assert fragua("train", "start", *INPUTS, "--spec", str(file), *values, "--no-watch").exit_code == 0
    assert yaml.safe_load(ordered(suite).spec_yaml) == {
        "lora": {"rank": 8, "alpha": 8, "target_modules": ["q_proj", "o_proj"]},
        "retry_smaller": True,
    }


@pytest.mark.parametrize("value", ["lora.rank", "=8", "lora..rank=8", "lora=[", "lora.rank.deep=8"])
def test_a_value_that_cannot_be_set_is_refused_before_any_call(
    fragua: Fragua, suite: SuiteDouble, file: Path, value: str
) -> None:
    refused = fragua("train", "start", *INPUTS, "--spec", str(file), "--set", value)
    assert refused.exit_code == ExitCode.REFUSED
    assert value in refused.stderr
    assert suite.trainer.created == []


@pytest.mark.parametrize("text", ["- rank", "lora: {"])
def test_a_file_without_keys_is_refused_where_values_are_set_in_it(fragua: Fragua, tmp_path: Path, text: str) -> None:
    broken = tmp_path / "roto.yaml"
    broken.write_text(text, "utf-8")
    refused = fragua("train", "start", *INPUTS, "--spec", str(broken), "--set", "lora.rank=8")
    assert refused.exit_code == ExitCode.REFUSED
    assert "roto.yaml" in refused.stderr


# R103, R104, R105
def test_the_names_that_other_trainers_have_for_these_options_are_taken(fragua: Fragua, suite: SuiteDouble) -> None:
    names = "--lr 1e-4 --lora-r 8 --lora-alpha 32 --lora-dropout 0.1 --num-epochs 2 --batch-size 1 --grad-accum 8"
    inputs = ("--dataset", "facts", "--base-model", "tiny")
    assert fragua("train", "start", *inputs, *names.split(), "--no-watch").exit_code == 0
    job = ordered(suite)
    assert (job.lora.rank, job.lora.alpha, job.lora.dropout) == (8, 32, 0.1)
    assert (job.schedule.learning_rate, job.schedule.epochs, job.schedule.gradient_accumulation) == (1e-4, 2, 8)


# R104, R105
def test_limits_and_quantization_win_over_a_preset_also_where_they_say_none(fragua: Fragua, suite: SuiteDouble) -> None:
    smoke = "--train-limit 50 --val-limit -1 --max-steps -1 --quantization auto --warm-start 3"
    assert fragua("train", "start", *INPUTS, "--preset", "ba-cpu", *smoke.split(), "--no-watch").exit_code == 0
    job = ordered(suite)
    assert yaml.safe_load(job.spec_yaml) == {
        "limits": {"train_rows": 50, "validation_rows": 0},
        "quantization": "auto",
        "schedule": {"max_steps": 0},
    }
    assert job.warm_start == "branches/tutor/adapters/3"


# --- presets and estimates


def test_presets_are_listed_and_shown(fragua: Fragua) -> None:
    assert "Un tutor con voz propia" in fragua("train", "presets").stdout
    assert fragua("train", "presets", "tutor").stdout == "lora:\n  target_modules: [q_proj]\n"
    assert "no preset tuttor" in fragua("train", "presets", "tuttor").stdout


def test_an_estimate_tells_what_is_trained_on_what_and_what_it_needs(fragua: Fragua, suite: SuiteDouble) -> None:
    told = fragua("train", "estimate", *INPUTS, "--preset", "tutor", "--set", "lora.rank=8")
    assert told.exit_code == 0, told.output
    for part in (
        "262,144 parameters",
        "qkv_proj",
        "9216 x 3072",
        "1,234 of 8,000",
        "80 of 80 rows",
        "2.60 GB",
        "archivo GGUF",
    ):
        assert part in told.stdout
    assert "--measure tells" in told.stdout
    [request] = suite.trainer.estimated
    assert request.training_job.dataset_version.endswith(OLD)
    assert (request.training_job.preset, request.training_job.spec_yaml) == ("tutor", "lora:\n  rank: 8\n")
    assert not request.measure


def test_a_measured_estimate_tells_the_time(fragua: Fragua, suite: SuiteDouble) -> None:
    assert "lasts 5 h 20 min, 640 s for each step" in fragua("train", "estimate", *INPUTS, "--measure").stdout
    assert suite.trainer.estimate_patience > 3600  # a large base takes minutes to load, and steps take minutes


# --- again


def test_a_rerun_names_the_former_job_and_keeps_its_data(fragua: Fragua, suite: SuiteDouble) -> None:
    done = fragua("train", "rerun", "j1")
    assert done.exit_code == 0, done.output
    assert "branches/tutor/trainingJobs/j2 makes branches/tutor/adapters/2" in done.stdout
    [request] = suite.trainer.rerun
    assert request.name == "branches/tutor/trainingJobs/j1"
    assert request.dataset_version == ""


def test_a_rerun_may_take_newer_data_of_the_same_branch(fragua: Fragua, suite: SuiteDouble) -> None:
    former = "branches/ba/trainingJobs/j1"
    assert fragua("train", "rerun", former, "--dataset", "facts", "--no-watch", "--request-id", "r1").exit_code == 0
    [request] = suite.trainer.rerun
    assert request.dataset_version == f"branches/ba/datasets/facts/versions/{OLD}"
    assert request.request_id == "r1"


# --- logs


def test_every_line_is_printed_once_over_a_broken_connection(fragua: Fragua, suite: SuiteDouble) -> None:
    assert fragua("train", "logs", "j1").stdout == "paso 1\npaso [2]\nattempt 2: paso 3\n"
    assert [request.no_follow for request in suite.trainer.log_requests] == [False, False]


def test_lines_are_json_for_programs_and_may_end_at_once(fragua: Fragua, suite: SuiteDouble) -> None:
    lines = fragua("train", "logs", "j1", "--no-follow", "--json").stdout.splitlines()
    assert [json.loads(line) for line in lines][-1] == {"attempt": 2, "line": "paso 3"}
    assert suite.trainer.log_requests[0].no_follow


# --- the course of a run


async def test_the_time_left_is_told_once() -> None:
    output = Output()
    output.console = Console(file=(screen := StringIO()), width=200)

    async def states() -> AsyncIterator[trainer_pb2.TrainingJob]:
        for phase, message in (("training", "step 1/2 · ETA 15 min"), ("saving", "")):
            progress = job_pb2.JobProgress(phase=phase, message=message, eta=timedelta(minutes=15))
            yield trainer_pb2.TrainingJob(
                status=job_pb2.JobStatus(state=job_pb2.JOB_STATE_RUNNING, attempt=1, progress=progress)
            )

    await follow(output, "j1", states())
    training, saving = screen.getvalue().splitlines()
    assert training.endswith("training · step 1/2 · ETA 15 min")
    assert saving.endswith("saving · 900 s left")


def test_a_falling_loss_falls_and_a_level_one_is_level() -> None:
    assert sparkline([8, 7, 6, 5, 4, 3, 2, 1]) == "█▇▆▅▄▃▂▁"
    assert sparkline([2.0] * 100) == "▁" * 24
    assert sparkline([2.0]) == ""


def test_a_long_course_is_drawn_whole() -> None:
    drawn = sparkline([float(step) for step in range(1000, 0, -1)])
    assert len(drawn) == 24
    assert (drawn[0], drawn[-1]) == ("█", "▁")


def test_the_loss_is_read_from_what_the_run_says() -> None:
    course = LossCourse()
    for step, message in enumerate(
        ["step 1/4 · loss 4.000 · val loss 9.100", "validation batch 1/3", "step 3/4 · val loss 9.200", "loss 2.000"]
    ):
        course.see(job_pb2.JobProgress(step=step, message=message))
    assert str(course) == "█▁"


async def test_the_bar_on_a_terminal_draws_the_course() -> None:
    async def states() -> AsyncIterator[trainer_pb2.TrainingJob]:
        for step, loss in ((1, 4.0), (2, 2.0)):
            progress = job_pb2.JobProgress(phase="training", step=step, total=2, message=f"loss {loss:.3f}")
            yield trainer_pb2.TrainingJob(
                status=job_pb2.JobStatus(state=job_pb2.JOB_STATE_RUNNING, attempt=1, progress=progress)
            )

    screen = StringIO()
    output = Output()
    output.console = Console(file=screen, force_terminal=True, width=120)
    await follow(output, "j1", states())
    assert "█▁ training 2/2 · loss 2.000" in screen.getvalue()
