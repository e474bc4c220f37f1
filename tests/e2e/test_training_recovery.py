"""Long runs: killed at any step, ended early, short of memory."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from safetensors.torch import load_file

from fragua_platform.jobs.engine import EXIT_FAILED
from tests.training_jobs import SPEC, Finished, example, new_job, run_engine, run_engine_and_stop_at

STEPS = 24
SHORT = SPEC | {
    "schedule": SPEC["schedule"] | {"max_steps": STEPS},
    "logging": {"log_steps": 3, "save_steps": 2, "eval_steps": 7},
    "early_stopping": {"patience": 100},
}
"""The best adapter rides along in every checkpoint."""


# R112
def test_a_run_killed_at_any_steps_ends_with_the_losses_and_bytes_of_an_unbroken_one(tmp_path: Path) -> None:
    unbroken = run_engine(new_job(tmp_path / "unbroken", SHORT))
    assert unbroken.exit_status == 0, unbroken.complaints
    kills = sorted(random.sample(range(2, STEPS), 2))

    checkpoint = None
    for kill in kills:
        killed = run_engine_and_stop_at(new_job(tmp_path / f"killed-{kill}", SHORT, checkpoint), kill, signal.SIGKILL)
        assert killed.exit_status == -signal.SIGKILL
        checkpoint = _newest(killed.job) or checkpoint
    resumed = run_engine(new_job(tmp_path / "resumed", SHORT, checkpoint))

    assert resumed.exit_status == 0, resumed.complaints
    assert resumed.info["resumed_from_step"] > 0
    assert resumed.losses == unbroken.losses
    assert resumed.adapter == unbroken.adapter
    assert resumed.info["best_checkpoint"] == unbroken.info["best_checkpoint"]
    # Nothing of the lines that were logged before the kills is lost, and none is there twice.
    assert [_without_pace(line) for line in resumed.log] == [_without_pace(line) for line in unbroken.log]


# R148, R151
def test_a_run_that_gets_no_better_stops_and_leaves_its_best_adapter(tmp_path: Path) -> None:
    far_too_fast = SPEC["schedule"] | {"max_steps": 300, "learning_rate": 0.05, "scheduler": "constant"}
    spec = SPEC | {
        "schedule": far_too_fast,
        "logging": {"log_steps": 5, "save_steps": 5, "eval_steps": 5, "keep_checkpoints": 2},
        "early_stopping": {"patience": 3, "min_delta": 0.001},
    }
    stopped = run_engine(new_job(tmp_path, spec))
    assert stopped.exit_status == 0, stopped.complaints
    info = stopped.info
    best = info["best_checkpoint"]
    validation = {step: loss for step, _, loss in stopped.losses if loss is not None}

    assert (info["ending"], info["adapter_step"]) == ("no_improvement", best["step"])
    assert info["steps"] == best["step"] + 15 < 300
    assert best == {"metric": "validation_loss", "value": validation[best["step"]], "step": best["step"]}
    assert min(validation.values()) > best["value"] - 0.001
    # What is told of the adapter is what was measured of its own weights, and not of the last ones.
    assert info["adapter_validation_loss"] == best["value"] < info["validation_loss"]["last"]
    assert any(f"the adapter is that of step {best['step']}" in notice for notice in info["notices"])
    # The weights that were published are those that the checkpoint of that step holds.
    kept = {path.name for path in (stopped.job / "checkpoints").iterdir()}
    last = info["steps"]
    assert kept == {f"step-{step}" for step in (best["step"], last - 5, last)}
    saved = load_file(stopped.job / f"checkpoints/step-{best['step']}/tensors.safetensors")
    published = load_file(stopped.job / "outputs/adapter_model.safetensors")
    for name, tensor in published.items():
        assert tensor.equal(saved[f"adapter.{name.removesuffix('.weight')}.default.weight"])


def test_generated_answers_decide_which_adapter_is_the_best(tmp_path: Path) -> None:
    spec = SPEC | {
        "schedule": SPEC["schedule"] | {"max_steps": 60},
        "logging": {"log_steps": 10, "save_steps": 50, "eval_steps": 30},
        "early_stopping": {"patience": 10, "metric": "token_f1", "rows": 4, "answer_tokens": 24},
    }
    finished = run_engine(new_job(tmp_path, spec))
    assert finished.exit_status == 0, finished.complaints
    rows = [json.loads(line) for line in (finished.job / "outputs/metrics.jsonl").read_text("utf-8").splitlines()]
    scores = {row["step"]: row["token_f1"] for row in rows if "token_f1" in row}

    assert list(scores) == [30, 60]
    assert max(scores.values()) > 0.3
    best = finished.info["best_checkpoint"]
    assert (best["metric"], best["value"]) == ("token_f1", max(scores.values()))
    assert finished.info["adapter_step"] == best["step"] == next(s for s, v in scores.items() if v == best["value"])


# R104
def test_a_run_out_of_time_publishes_what_it_has_and_says_so(tmp_path: Path) -> None:
    spec = SPEC | {
        "schedule": SPEC["schedule"] | {"max_steps": 1_000_000},
        "limits": {"max_seconds": 1, "train_rows": 20, "validation_rows": 3},
    }
    ended = run_engine(new_job(tmp_path, spec))
    assert ended.exit_status == 0, ended.complaints
    info = ended.info

    assert info["ending"] == "time_limit"
    assert 0 < info["steps"] < 1_000_000
    assert info["limits"] == {"max_seconds": 1, "train_rows": 20, "validation_rows": 3, "max_steps": 1_000_000}
    assert (info["dataset"]["train"]["rows"], info["dataset"]["validation"]["rows"]) == (20, 3)
    assert f"limits.max_seconds was reached at step {info['steps']} of 1000000" in " ".join(info["notices"])
    assert ended.losses[-1][2] is not None  # measured once more at its end
    assert ended.records_of("checkpoint")[-1]["step"] == info["steps"]


HUNGRY = SPEC | {
    "schedule": SPEC["schedule"] | {"max_steps": 2, "batch_size": 24, "gradient_accumulation": 1, "packing": False},
}
SPARE_MEMORY = 200 << 20
"""Too little for 24 long rows at once and enough for 12 with gradient checkpointing."""


# R111, R124
def test_running_out_of_memory_tells_the_peak_and_three_settings(tmp_path: Path) -> None:
    failed = _run_with_spare_memory(_long_rows(new_job(tmp_path, HUNGRY)))

    failure = failed.records[-1]
    assert (failed.exit_status, failure["failure_class"]) == (EXIT_FAILED, "CAPACITY"), failed.complaints
    assert failure["reason"] == "OUT_OF_MEMORY"
    for told in ("MiB at its peak", "schedule.batch_size from 24", "schedule.gradient_checkpointing", "quantization"):
        assert told in failure["message"]


def test_a_run_that_may_tries_once_more_with_less_at_once(tmp_path: Path) -> None:
    done = _run_with_spare_memory(_long_rows(new_job(tmp_path, HUNGRY | {"retry_smaller": True})))
    assert done.exit_status == 0, done.records[-1]

    arguments = done.info["arguments"]["schedule"]
    assert (arguments["batch_size"], arguments["gradient_accumulation"]) == (12, 2)
    assert (done.info["steps"], done.info["gradient_checkpointing"]) == (2, True)
    assert "tried again with half the rows at once" in done.info["notices"][0]


def _long_rows(job: Path) -> Path:
    rows = []
    for number in range(24):
        row = example(number)
        row["messages"][1]["content"] += " Y más mañana." * 40
        rows.append(json.dumps(row, ensure_ascii=False) + "\n")
    (job / "inputs/dataset/train.jsonl").write_text("".join(rows), "utf-8")
    return job


def _run_with_spare_memory(job: Path) -> Finished:
    """Run the engine so that, once it begins to train, its address space grows by no more than SPARE_MEMORY."""
    program = f"""
import resource
from fragua_platform.jobs.engine import run_engine
from fragua_trainer.training import __main__ as engine, recipe

train = recipe.train

def train_within_limits(*arguments):
    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        pages = int(open("/proc/self/statm").read().split()[0])
        most = pages * resource.getpagesize() + {SPARE_MEMORY}
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    return train(*arguments)

recipe.train = train_within_limits
run_engine(engine.train, [{str(job)!r}])
"""
    finished = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=os.environ | {"FRAGUA_ENGINE_THREADS": "1"},
        timeout=200,
    )
    records = [json.loads(line) for line in finished.stdout.splitlines()]
    return Finished(job, finished.returncode, records, finished.stderr)


def _newest(job: Path) -> Path | None:
    complete = (job / "checkpoints").glob("step-*")
    return max(complete, key=lambda path: int(path.name.removeprefix("step-")), default=None)


def _without_pace(line: str) -> str:
    """Without what differs from run to run: the time of day, the speed and the time that is left."""
    return " · ".join(
        part for part in line.split(" ", 1)[1].split(" · ") if not part.startswith("ETA") and "tok/s" not in part
    )
