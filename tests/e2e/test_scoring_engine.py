"""The scoring engine on a job directory: as a child process where the process matters, else here, where torch is already."""

import io
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

from fragua_evaluator.domain.evaluation_spec import parse_evaluation_spec
from fragua_evaluator.scoring.evaluate import evaluate
from fragua_platform.errors import FraguaError, InvalidInput
from fragua_platform.jobs.engine import JobDirectory, Reporter
from tests.tiny_models import make_tiny_llama

ARMS: list[dict[str, Any]] = [
    {"name": "base", "family": "b", "target": {"kind": "model", "base": "base"}},
    {"name": "tuned", "family": "b", "target": {"kind": "model", "base": "base", "adapter": "adapter"}},
]
POLICY = {"name": "adopt", "improvement": {"at_least": 0.05}}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models")
    base = make_tiny_llama(folder / "base", seed=3, strong=True)
    lora = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), lora)
    model.save_pretrained(str(folder / "adapter"), save_embedding_layers=False)
    return folder


@pytest.fixture
def job(tmp_path: Path, models: Path) -> Path:
    shutil.copytree(models, tmp_path / "inputs")
    with (tmp_path / "inputs/rows.jsonl").open("w", encoding="utf-8") as rows:
        for number in range(48):
            question = {"role": "user", "content": f"¿Cuántos niños hay en {number}?"}
            answer = {"role": "assistant", "content": f"B) Hay {number}."}
            row = {
                "id": f"{number:016x}",
                "messages": [question, answer],
                "choices": ["No se sabe.", f"Hay {number}."],
                "answer": 1,
                "metadata": {"type": "sumas" if number % 2 else "restas"},
            }
            rows.write(json.dumps(row, ensure_ascii=False) + "\n")
    return tmp_path


def suite(name: str = "validation", **changes: Any) -> dict[str, Any]:
    return {"name": name, "rows": "rows.jsonl", "metrics": [{"name": "token_f1"}]} | changes


def write_spec(job: Path, **changes: Any) -> None:
    spec = {"arms": ARMS, "suites": [suite()], "repeats": 1, "policy": POLICY, "checkpoint_seconds": 0}
    (job / "spec.json").write_text(json.dumps(spec | changes))


def start(job: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "fragua_evaluator.scoring", str(job)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"FRAGUA_ENGINE_THREADS": "1"})


def finish(engine: subprocess.Popen[str]) -> tuple[int, list[dict[str, Any]]]:
    output, _ = engine.communicate(timeout=200)
    return engine.returncode, [json.loads(line) for line in output.splitlines()]


def run_here(job: Path) -> list[dict[str, Any]]:
    """What the child does once its libraries are there, which takes it seconds; returns its records."""
    directory, told = JobDirectory(job), io.StringIO()
    directory.outputs.mkdir(exist_ok=True)
    directory.checkpoints.mkdir(exist_ok=True)
    try:
        evaluate(parse_evaluation_spec(directory.read_spec()), directory, Reporter(told), 1)
    except FraguaError as error:
        error.add_note(told.getvalue())
        raise
    return [json.loads(line) for line in told.getvalue().splitlines()]


def report_of(job: Path) -> Any:
    return json.loads((job / "outputs/report.json").read_text("utf-8"))


def items_of(job: Path) -> list[Any]:
    return [json.loads(line) for line in (job / "outputs/items.jsonl").read_text("utf-8").splitlines()]


def test_an_evaluation_that_is_told_to_stop_goes_on_and_asks_nothing_twice(job: Path) -> None:
    write_spec(job, suites=[suite(max_items=24)], decoding={"max_new_tokens": 100})
    unbroken = job.with_name("unbroken")
    shutil.copytree(job, unbroken)
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
    assert 1 <= already_answered < 48
    shutil.move(saved, job / "inputs/checkpoint")
    shutil.rmtree(job / "checkpoints")
    status, records = finish(start(job))
    assert status == 0
    steps = [record["step"] for record in records if record["record"] == "checkpoint"]
    assert steps == sorted(set(steps))
    assert already_answered < steps[0]
    assert steps[-1] == 48

    run_here(unbroken)
    texts = [[item["arms"][arm]["answers"][0]["text"] for item in items_of(job)] for arm in ("base", "tuned")]
    assert texts == [
        [item["arms"][arm]["answers"][0]["text"] for item in items_of(unbroken)] for arm in ("base", "tuned")
    ]
    assert [arm["answers"] for arm in report_of(job)["arms"]] == [24, 24]


def test_every_kind_of_suite_is_scored_compared_and_written_down(job: Path) -> None:
    merged = {"name": "merged", "family": "b", "target": ARMS[1]["target"] | {"merged": True}}
    suites = [
        suite(max_items=8, metrics=[{"name": "token_f1"}, {"name": "exact_match"}]),
        suite("exercises", kind="multiple_choice", metrics=[], max_items=12),
        suite("likelihood", kind="perplexity", metrics=[], max_items=6),
    ]
    write_spec(job, arms=[*ARMS, merged], suites=suites, repeats=2, decoding={"max_new_tokens": 8})
    run_here(job)
    report = report_of(job)
    base, tuned, merged_arm = report["arms"]
    assert [(each["suite"], each["items"]) for each in base["suites"]] == [
        ("validation", 8),
        ("exercises", 12),
        ("likelihood", 6),
    ]
    assert base["answers"] == 8 * 2 + 12 + 6, "what is only weighed is weighed once"
    assert tuned["suites"][2]["perplexity"] == pytest.approx(merged_arm["suites"][2]["perplexity"], rel=1e-3)
    assert base["suites"][2]["perplexity"] != pytest.approx(tuned["suites"][2]["perplexity"], rel=1e-3)
    assert set(base["suites"][1]["metrics"][0]["by_tag"]) == {"sumas", "restas"}
    assert len(report["comparisons"]) == 9, "three pairs of arms on three suites"
    assert report["verdict"]["outcome"] in ("NO_GO", "INCONCLUSIVE")
    assert report["error_analysis"] is not None
    assert report["fairness"]["same"]["decoding"]["max_new_tokens"] == 8
    assert {"report.html", "report.md", "items.jsonl"} <= {path.name for path in (job / "outputs").iterdir()}


def test_one_item_and_two_equal_arms_end_in_no_verdict_that_means_anything(job: Path) -> None:
    twin = ARMS[0] | {"name": "twin"}
    write_spec(job, arms=[ARMS[0], twin], suites=[suite(max_items=1)], decoding={"max_new_tokens": 8})
    run_here(job)
    report = report_of(job)
    [compared] = report["comparisons"]
    assert (compared["tied"], compared["p_value"], compared["adjusted_p_value"]) == (1, 1.0, 1.0)
    assert compared["effect_size"] is None
    assert report["verdict"]["outcome"] != "GO"
    assert report["verdict"]["recommended_arm"] == "base"


def test_answers_that_are_known_are_not_asked_for_again(job: Path, tmp_path: Path) -> None:
    cache = str(tmp_path / "responses")
    write_spec(job, suites=[suite(max_items=8)], decoding={"max_new_tokens": 8}, response_cache=cache)
    run_here(job)
    first = report_of(job)
    write_spec(job, suites=[suite(max_items=12)], decoding={"max_new_tokens": 8}, response_cache=cache)
    run_here(job)
    second = report_of(job)
    assert [arm["cached_answers"] for arm in first["arms"]] == [0, 0]
    assert cache not in json.dumps(first), "the worker's folders are its own affair"
    known = [arm["cached_answers"] for arm in second["arms"]]
    assert known[0] == known[1] >= 1
    assert second["arms"][0]["tokens"] > 0, "speed is told of what was asked anew"
    speed = {"name": "speed", "measure": "tokens_per_second", "above": 1}
    policy = POLICY | {"criteria": [speed]}
    write_spec(job, suites=[suite(max_items=4)], decoding={"max_new_tokens": 8}, response_cache=cache, policy=policy)
    run_here(job)
    assert [arm["cached_answers"] for arm in report_of(job)["arms"]] == [0, 0], "speed is judged: all is asked anew"


def test_arms_of_one_base_that_hide_another_template_are_refused_before_any_answer(job: Path) -> None:
    shutil.copytree(job / "inputs/base", job / "inputs/other")
    template = (job / "inputs/other/chat_template.jinja").read_text("utf-8")
    (job / "inputs/other/chat_template.jinja").write_text(template.replace("assistant\n", "assistant\n "), "utf-8")
    hidden = {"name": "hidden", "family": "b", "target": {"kind": "model", "base": "other"}}
    write_spec(job, arms=[ARMS[0], hidden])
    with pytest.raises(InvalidInput) as refused:
        run_here(job)
    assert refused.value.reason == "UNFAIR_PROMPTS"
    assert "asking" not in refused.value.__notes__[0]


def test_an_arm_that_cannot_be_opened_is_told_before_the_first_arm_answers(job: Path) -> None:
    (job / "inputs/adapter/adapter_model.safetensors").write_bytes(b"no weights")
    write_spec(job)
    with pytest.raises(FraguaError, match="adapter") as refused:
        run_here(job)
    assert "asking" not in refused.value.__notes__[0]


def test_a_wrong_specification_fails_as_configuration_before_models_are_loaded(job: Path) -> None:
    write_spec(job, repeats=0, suites=[suite(max_items=0), suite("other", metrics=[])])
    shutil.rmtree(job / "inputs/base")
    status, records = finish(start(job))
    assert status == 1
    assert records[-1]["failure_class"] == "USER_CONFIG"
    assert {violation["field"] for violation in records[-1]["violations"]} == {
        "repeats",
        "suites.0.max_items",
        "suites.1",
    }
