"""The training engine as a worker runs it: a real process on a job directory, stopped, killed and resumed."""

import shutil
import signal
from hashlib import sha256
from pathlib import Path

import pytest
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from fragua_platform.jobs.engine import EXIT_FAILED, EXIT_INTERRUPTED
from tests.tiny_models import make_tiny_phi3
from tests.training_jobs import SPEC, STEPS, Finished, example, new_job, run_engine, run_engine_and_stop_at


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    finished = run_engine(new_job(tmp_path_factory.mktemp("unbroken") / "job"))
    assert finished.exit_status == 0, finished.complaints
    return finished


def test_training_lowers_both_losses(unbroken: Finished) -> None:
    info = unbroken.info

    assert info["loss"]["last"] < info["loss"]["first"] - 1
    assert info["validation_loss"]["last"] < info["validation_loss"]["first"]
    assert unbroken.losses[-1] == (STEPS, None, info["validation_loss"]["last"])


# R115, R116
def test_the_adapter_loads_untouched_in_peft_with_its_tokenizer(unbroken: Finished) -> None:
    base = AutoModelForCausalLM.from_pretrained(unbroken.job / "inputs/base", local_files_only=True)
    outputs = unbroken.job / "outputs"
    tokenizer = AutoTokenizer.from_pretrained(outputs, local_files_only=True)
    model = PeftModel.from_pretrained(base, str(outputs))
    files = {path.name for path in outputs.iterdir()}

    asked = tokenizer.apply_chat_template(example(50)["messages"][:1], tokenize=False, add_generation_prompt=True)
    question = tokenizer(asked, add_special_tokens=False, return_tensors="pt")
    answer = model.generate(**question, max_new_tokens=40, do_sample=False)[0, question["input_ids"].shape[1] :]

    assert "Comió" in str(tokenizer.decode(answer))
    assert {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"} <= files
    assert {"adapter_config.json", "adapter_model.safetensors", "training_info.json", "logs"} <= files


def test_the_record_of_the_run_is_measured_and_complete(unbroken: Finished) -> None:
    info = unbroken.info
    train = (unbroken.job / "inputs/dataset/train.jsonl").read_bytes()

    # Rank 8 on seven projections of two layers, counted from their shapes: attention, MLP.
    assert info["trainable_parameters"] == 2 * 8 * ((64 + 64) * 2 + (64 + 32) * 2 + (64 + 128) * 3)
    assert info["arguments"]["lora"]["rank"] == 8
    assert info["arguments"]["schedule"]["weight_decay"] == 0.0
    assert info["provenance"] == SPEC["provenance"]
    assert info["dataset"]["train"] == info["dataset"]["train"] | {"sha256": sha256(train).hexdigest(), "rows": 48}
    assert (info["steps"], info["ending"], info["adapter_step"]) == (STEPS, "all_steps", STEPS)
    assert info["best_checkpoint"]["value"] == info["validation_loss"]["best"]
    assert info["repository_commit"] != ""
    assert (info["suspicions"], info["limits"]["max_seconds"]) == ([], 0)
    assert info["peak_memory"]["process_bytes"] > 50_000_000
    assert 0 < info["training_seconds"] <= info["duration_seconds"]
    assert {"torch", "transformers", "peft", "python"} <= info["versions"].keys()
    assert str(unbroken.job) not in (unbroken.job / "outputs/adapter_config.json").read_text("utf-8")


def test_progress_never_goes_back_and_ends_at_the_total(unbroken: Finished) -> None:
    progress = unbroken.records_of("progress")
    steps = [record["step"] for record in progress]
    logged = [record for record in progress if "loss" in record.get("metrics", {})]

    assert steps == sorted(steps)
    assert (progress[0]["phase"], progress[-1]["phase"], steps[-1]) == ("loading", "saving", STEPS)
    assert {"learning_rate", "grad_norm", "tokens_per_second", "epoch"} <= logged[-1]["metrics"].keys()
    assert f"step {STEPS}/{STEPS} · loss" in logged[-1]["message"]
    assert [record["step"] for record in unbroken.records_of("checkpoint")] == [25, 50, 75, 100]


# R112
def test_a_run_stopped_by_sigterm_resumes_to_the_same_adapter_bit_by_bit(unbroken: Finished, tmp_path: Path) -> None:
    stopped = run_engine_and_stop_at(new_job(tmp_path / "first"), step=6, stop=signal.SIGTERM)
    assert stopped.exit_status == EXIT_INTERRUPTED
    saved = stopped.records_of("checkpoint")[-1]
    assert 6 <= saved["step"] < STEPS

    resumed = run_engine(new_job(tmp_path / "second", checkpoint=stopped.job / saved["directory"]))

    assert resumed.exit_status == 0, resumed.complaints
    assert resumed.info["resumed_from_step"] == saved["step"]
    assert resumed.adapter == unbroken.adapter
    assert resumed.losses == unbroken.losses


def test_a_run_stopped_while_it_loads_gives_the_job_back(tmp_path: Path) -> None:
    stopped = run_engine_and_stop_at(new_job(tmp_path), step=0, stop=signal.SIGTERM, phase="loading")

    assert stopped.exit_status == EXIT_INTERRUPTED
    assert stopped.records_of("checkpoint") == stopped.records_of("failure") == []


# R112
def test_a_killed_run_resumes_from_its_last_complete_checkpoint(unbroken: Finished, tmp_path: Path) -> None:
    killed = run_engine_and_stop_at(new_job(tmp_path / "first"), step=28, stop=signal.SIGKILL)
    assert killed.exit_status == -signal.SIGKILL

    checkpoint = killed.job / killed.records_of("checkpoint")[-1]["directory"]
    resumed = run_engine(new_job(tmp_path / "second", checkpoint=checkpoint))

    assert resumed.adapter == unbroken.adapter
    assert resumed.losses == unbroken.losses


def test_unmatched_targets_fail_before_compute_and_name_what_there_is(tmp_path: Path) -> None:
    job = new_job(tmp_path / "job", spec=SPEC | {"lora": {"target_modules": ["q_proj", "o_proj"]}})
    shutil.rmtree(job / "inputs/base")
    make_tiny_phi3(job / "inputs/base", seed=3)

    failed = run_engine(job)

    failure = failed.records[-1]
    assert (failed.exit_status, failure["failure_class"]) == (EXIT_FAILED, "USER_CONFIG")
    assert [violation["field"] for violation in failure["violations"]] == ["lora.target_modules"]
    assert "qkv_proj" in failure["violations"][0]["description"]
    assert all(record["phase"] == "loading" for record in failed.records[:-1])


def test_a_wrong_specification_fails_with_every_violation(tmp_path: Path) -> None:
    job = new_job(tmp_path / "job", spec={"lora": {"rank": 0}, "schedule": {"epochs": -1}})

    failed = run_engine(job)

    assert failed.exit_status == EXIT_FAILED
    assert {violation["field"] for violation in failed.records[-1]["violations"]} == {"lora.rank", "schedule.epochs"}
