"""The scoring engine as the worker and a person run it: a child process on a job directory."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from tests.tiny_models import make_tiny_llama


@pytest.fixture
def job(tmp_path: Path) -> Path:
    torch.set_num_threads(1)
    base = make_tiny_llama(tmp_path / "inputs/base", seed=3, strong=True)
    lora = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), lora)
    model.save_pretrained(str(tmp_path / "inputs/adapter"), save_embedding_layers=False)
    (tmp_path / "inputs/dataset").mkdir()
    with (tmp_path / "inputs/dataset/validation.jsonl").open("w", encoding="utf-8") as rows:
        for number in range(48):
            question = {"role": "user", "content": f"¿Cuántos niños hay en {number}?"}
            answer = {"role": "assistant", "content": f"Hay {number}."}
            row = {"id": f"{number:016x}", "messages": [question, answer], "metadata": {}}
            rows.write(json.dumps(row, ensure_ascii=False) + "\n")
    write_spec(tmp_path, max_new_tokens=200, batch_size=8, checkpoint_seconds=0)
    return tmp_path


def write_spec(job: Path, **spec: Any) -> None:
    (job / "spec.json").write_text(json.dumps(spec))


def start(job: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "fragua_evaluator.scoring", str(job)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"FRAGUA_ENGINE_THREADS": "1"})


def finish(engine: subprocess.Popen[str]) -> tuple[int, list[dict[str, Any]]]:
    output, _ = engine.communicate(timeout=100)
    return engine.returncode, [json.loads(line) for line in output.splitlines()]


def test_an_evaluation_that_is_told_to_stop_goes_on_from_its_checkpoint(job: Path) -> None:
    engine = start(job)
    assert engine.stdout is not None
    for line in engine.stdout:
        if json.loads(line)["record"] == "checkpoint":
            engine.send_signal(signal.SIGTERM)
            break
    status, _ = finish(engine)
    assert status == 75
    assert not (job / "outputs/report.json").exists()

    saved = max((job / "checkpoints").iterdir(), key=lambda folder: int(folder.name.split("-")[1]))
    already_answered = int(saved.name.split("-")[1])
    assert 8 <= already_answered < 96
    shutil.move(saved, job / "inputs/checkpoint")
    status, records = finish(start(job))
    assert status == 0
    new_steps = [record["step"] for record in records if record["record"] == "checkpoint"]
    assert new_steps[0] > already_answered
    assert new_steps[-1] == 96
    assert len(new_steps) == (96 - already_answered) / 8
    report = json.loads((job / "outputs/report.json").read_text("utf-8"))
    assert {arm: measured["n"] for arm, measured in report["arms"].items()} == {"base": 48, "tuned": 48}
    assert len((job / "outputs/items.jsonl").read_text("utf-8").splitlines()) == 48


def test_progress_tells_both_arms_item_by_item(job: Path) -> None:
    write_spec(job, max_new_tokens=4, batch_size=16, max_items=32)
    status, records = finish(start(job))
    assert status == 0
    progress = [(record["phase"], record["step"], record["total"]) for record in records]
    for arm in ("base", "tuned"):
        assert [entry[1:] for entry in progress if entry[0] == f"scoring {arm}"] == [(0, 32), (16, 32), (32, 32)]


def test_a_wrong_specification_fails_as_configuration_before_models_are_loaded(job: Path) -> None:
    write_spec(job, metric="vibes", max_items=0)
    shutil.rmtree(job / "inputs/base")
    status, records = finish(start(job))
    assert status == 1
    assert records[-1]["failure_class"] == "USER_CONFIG"
    assert {violation["field"] for violation in records[-1]["violations"]} == {"metric", "max_items"}
