"""Several processes that train one adapter together: here two on a CPU, in use one for each GPU."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load
from transformers import AutoModelForCausalLM

from fragua_platform.jobs.engine import EXIT_FAILED, EXIT_INTERRUPTED
from fragua_trainer.training.launch import PROCESSES_VARIABLE
from tests.training_jobs import SPEC, Finished, new_job, run_engine, run_engine_and_stop_at

pytestmark = pytest.mark.timeout(300)
SECONDS = 250
"""Two processes that import everything, on a machine that others use."""
STEPS = 30
SHORT = SPEC | {
    "lora": {"rank": 8, "dropout": 0.0},  # which rows meet which noise depends on the number of processes
    "schedule": SPEC["schedule"] | {"max_steps": STEPS},
    "logging": {"log_steps": 5, "save_steps": 0, "eval_steps": 0},  # after each epoch
    "limits": {"train_rows": 41},  # the last step of an epoch has one row, and the second process none
}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    finished = run_engine(new_job(tmp_path_factory.mktemp("alone") / "job", SHORT), SECONDS)
    assert finished.exit_status == 0, finished.complaints
    return finished


@pytest.fixture(autouse=True)
def two_processes(alone: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PROCESSES_VARIABLE, "2")


def assert_same_run(one: Finished, other: Finished) -> None:
    assert [step for step, _, _ in one.losses] == [step for step, _, _ in other.losses]
    for ours, theirs in zip(one.losses, other.losses, strict=True):
        assert [loss or 0.0 for loss in ours] == pytest.approx([loss or 0.0 for loss in theirs], rel=1e-4)
    ours_adapter, theirs_adapter = load(one.adapter), load(other.adapter)
    for name, tensor in ours_adapter.items():
        torch.testing.assert_close(tensor, theirs_adapter[name], rtol=0, atol=1e-4)


def stopped_and_resumed(spec: dict[str, Any], tmp_path: Path) -> tuple[int, Finished]:
    """The step of the last checkpoint before the stop, and the run that went on from it."""
    stopped = run_engine_and_stop_at(new_job(tmp_path / "first", spec), step=6, stop=signal.SIGTERM)
    assert stopped.exit_status == EXIT_INTERRUPTED, stopped.complaints
    (*_, saved) = stopped.records_of("checkpoint")
    resumed = run_engine(new_job(tmp_path / "second", spec, checkpoint=stopped.job / saved["directory"]), SECONDS)
    assert resumed.exit_status == 0, resumed.complaints
    return saved["step"], resumed


def test_two_processes_take_the_steps_of_one_also_over_an_interruption(alone: Finished, tmp_path: Path) -> None:
    saved_step, resumed = stopped_and_resumed(SHORT, tmp_path)

    assert_same_run(resumed, alone)
    assert "2 processes share the rows of each step" in resumed.info["notices"]
    # One of them tells and writes.
    told = [record["step"] for record in resumed.records_of("checkpoint")]
    epochs = [6, 12, 18, 24, 30]
    assert told == [step for step in epochs if step > saved_step]
    assert [step for step, _, validation_loss in resumed.losses if validation_loss is not None] == epochs  # R114
    steps = [record["step"] for record in resumed.records_of("progress")]
    assert steps == sorted(steps)


# The base of a model that fits no single GPU.
def test_a_base_that_is_split_over_the_processes_gives_the_same_run(alone: Finished, tmp_path: Path) -> None:
    split = SHORT | {"shard_base": True, "early_stopping": {"metric": "token_f1", "rows": 4, "answer_tokens": 8}}

    _, resumed = stopped_and_resumed(split, tmp_path)

    assert_same_run(resumed, alone)
    assert resumed.info["base_shards"] == 2
    assert resumed.info["base_parameters"] == alone.info["base_parameters"]
    assert any("split over 2 processes: whole, each needs about" in notice for notice in resumed.info["notices"])
    model = AutoModelForCausalLM.from_pretrained(resumed.job / "inputs/base", local_files_only=True)
    PeftModel.from_pretrained(model, str(resumed.job / "outputs"))
    # Both processes write each answer.
    assert any("token_f1" in record.get("metrics", {}) for record in resumed.records_of("progress"))


def test_what_is_wrong_is_told_once(tmp_path: Path) -> None:
    failed = run_engine(new_job(tmp_path / "job", SHORT | {"lora": {"target_modules": ["nada"]}}), SECONDS)

    assert failed.exit_status == EXIT_FAILED
    (failure,) = failed.records_of("failure")
    assert failure["failure_class"] == "USER_CONFIG"
    assert "nada" in failure["message"]
