"""Jobs for the training engine, and the engine as a worker runs it: a real process on a job directory."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.tiny_models import make_tiny_llama

STEPS = 100
SPEC: dict[str, Any] = {
    "lora": {"rank": 8, "dropout": 0.1},
    "schedule": {"max_steps": STEPS, "batch_size": 4, "gradient_accumulation": 2, "learning_rate": 5e-3},
    "logging": {"log_steps": 4, "save_steps": 25, "eval_steps": 20},
    "provenance": {"base_model": "baseModels/tiny/revisions/1", "dataset": "branches/tutor/datasets/niños/versions/1"},
}


@dataclass(frozen=True)
class Finished:
    job: Path
    exit_status: int
    records: list[dict[str, Any]]
    complaints: str

    def records_of(self, kind: str) -> list[dict[str, Any]]:
        return [record for record in self.records if record["record"] == kind]

    @property
    def adapter(self) -> bytes:
        return (self.job / "outputs/adapter_model.safetensors").read_bytes()

    @property
    def log(self) -> list[str]:
        return (self.job / "outputs/logs/training.log").read_text("utf-8").splitlines()

    @property
    def info(self) -> dict[str, Any]:
        info: dict[str, Any] = json.loads((self.job / "outputs/training_info.json").read_text("utf-8"))
        return info

    @property
    def losses(self) -> list[tuple[int, float | None, float | None]]:
        lines = (self.job / "outputs/metrics.jsonl").read_text("utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        return [(row["step"], row.get("loss"), row.get("validation_loss")) for row in rows]


def new_job(directory: Path, spec: dict[str, Any] | None = None, checkpoint: Path | None = None) -> Path:
    dataset = directory / "inputs/dataset"
    dataset.mkdir(parents=True)
    for name, numbers in (("train", range(48)), ("validation", range(48, 60))):
        lines = [json.dumps(example(number), ensure_ascii=False) + "\n" for number in numbers]
        (dataset / f"{name}.jsonl").write_text("".join(lines), "utf-8")
    make_tiny_llama(directory / "inputs/base", seed=3)
    (directory / "spec.json").write_text(json.dumps(SPEC if spec is None else spec), "utf-8")
    if checkpoint is not None:
        shutil.copytree(checkpoint, directory / "inputs/checkpoint")
    return directory


def example(number: int) -> dict[str, Any]:
    messages = [
        {"role": "user", "content": f"¿Cuántas piñas comió el niño en el año {1900 + number}?"},
        {"role": "assistant", "content": f"Comió {number} piñas." + " Y más mañana." * (number % 4)},
    ]
    return {"id": f"{number:016x}", "messages": messages, "metadata": {}}


def start_engine(job: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "fragua_trainer.training", str(job)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=os.environ | {"FRAGUA_ENGINE_THREADS": "1"},
    )


def run_engine(job: Path, seconds: float = 200) -> Finished:
    engine = start_engine(job)
    output, complaints = engine.communicate(timeout=seconds)
    return Finished(job, engine.returncode, [json.loads(line) for line in output.splitlines()], complaints)


def run_engine_and_stop_at(job: Path, step: int, stop: signal.Signals, phase: str = "training") -> Finished:
    with start_engine(job) as engine:
        assert engine.stdout is not None
        assert engine.stderr is not None
        records = []
        for line in engine.stdout:
            records.append(json.loads(line))
            if records[-1].get("phase") == phase and records[-1]["step"] >= step:
                engine.send_signal(stop)
                break
        records += [json.loads(line) for line in engine.stdout]
        complaints = engine.stderr.read()
    return Finished(job, engine.returncode, records, complaints)
