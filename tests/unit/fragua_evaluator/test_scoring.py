"""Whole evaluations of tiny random models, run in this process."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from fragua_evaluator.domain.evaluation_spec import AnsweredItem, Arm, EvaluationReport, EvaluationSpec
from fragua_evaluator.scoring.score import score
from fragua_platform.errors import InvalidInput
from fragua_platform.jobs.engine import Interrupted, JobDirectory, Reporter
from tests.tiny_models import make_tiny_llama

QUESTIONS = [f"¿Cuál es el año {number}?" + " Di: niño, piña." * (number % 4) for number in range(10)]


def make_adapter(base: Path, adapter: Path, **config: Any) -> None:
    torch.manual_seed(0)
    lora = LoraConfig(r=4, target_modules=["q_proj", "o_proj"], init_lora_weights=False, **config)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), lora)
    model.save_pretrained(str(adapter), save_embedding_layers=False)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `base` and an `adapter` that changes what it says."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models")
    make_tiny_llama(folder / "base", seed=1, strong=True)
    make_adapter(folder / "base", folder / "adapter")
    return folder


class Evaluation:
    def __init__(self, root: Path, models: Path) -> None:
        self.job = JobDirectory(root)
        self.records = io.StringIO()
        self.reporter = Reporter(self.records)
        for folder in (self.job.outputs, self.job.checkpoints, self.job.inputs / "dataset"):
            folder.mkdir(parents=True)
        for name in ("base", "adapter"):
            shutil.copytree(models / name, self.job.inputs / name)
        self.expect(dict.fromkeys(range(len(QUESTIONS)), "Nunca dicho."))

    def expect(self, answers: dict[int, str]) -> None:
        rows = [
            {
                "id": f"{number:016x}",
                "messages": [
                    {"role": "user", "content": QUESTIONS[number]},
                    {"role": "assistant", "content": answer},
                ],
            }
            for number, answer in answers.items()
        ]
        (self.job.inputs / "dataset/validation.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def run(self, **spec: Any) -> EvaluationReport:
        settings: dict[str, Any] = {
            "max_new_tokens": 12,
            "batch_size": 4,
            "provenance": {"adapter": "branches/tutor/adapters/1"},
        }
        score(EvaluationSpec(**(settings | spec)), self.job, self.reporter, threads=1)
        return EvaluationReport.model_validate_json((self.job.outputs / "report.json").read_bytes())

    @property
    def items(self) -> list[AnsweredItem]:
        lines = (self.job.outputs / "items.jsonl").read_text("utf-8").splitlines()
        return [AnsweredItem.model_validate_json(line) for line in lines]

    def outputs_of(self, arm: Arm) -> list[str]:
        return [item.outputs[arm] for item in self.items]


@pytest.fixture
def evaluation(tmp_path: Path, models: Path) -> Evaluation:
    return Evaluation(tmp_path / "job", models)


def answers_one_by_one(base: Path, model: Any) -> list[str]:
    """What transformers itself says: no batch, no padding, none of our code."""
    tokenizer: Any = AutoTokenizer.from_pretrained(base)
    model.generation_config = GenerationConfig(max_new_tokens=12, eos_token_id=tokenizer.eos_token_id)
    answers = []
    for question in QUESTIONS:
        turns = [{"role": "user", "content": question}]
        ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt")["input_ids"]
        answers.append(tokenizer.decode(model.generate(ids)[0, ids.shape[1] :], skip_special_tokens=True))
    return answers


def test_each_arm_says_what_transformers_says_without_batches(evaluation: Evaluation, models: Path) -> None:
    evaluation.run()
    base = AutoModelForCausalLM.from_pretrained(models / "base")
    assert evaluation.outputs_of(Arm.BASE) == answers_one_by_one(models / "base", base)
    tuned = PeftModel.from_pretrained(base, models / "adapter").merge_and_unload()
    assert evaluation.outputs_of(Arm.TUNED) == answers_one_by_one(models / "base", tuned)
    assert evaluation.outputs_of(Arm.BASE) != evaluation.outputs_of(Arm.TUNED)


def test_a_model_that_says_what_was_expected_wins(evaluation: Evaluation) -> None:
    evaluation.run()
    evaluation.expect(dict(enumerate(evaluation.outputs_of(Arm.TUNED))))
    report = evaluation.run()
    assert (report.arms[Arm.TUNED].score, report.arms[Arm.BASE].score) == (1.0, 0.0)
    assert (report.paired.improved, report.paired.worsened, report.paired.n) == (10, 0, 10)
    assert report.paired.p_value == pytest.approx(2 / 2**10)
    assert report.provenance == {"adapter": "branches/tutor/adapters/1"}


def test_the_report_holds_what_was_measured(evaluation: Evaluation) -> None:
    report = evaluation.run(max_items=6, metric="token_f1")
    assert report.fairness["items"] == 6
    assert report.fairness["items_available"] == 10
    for arm, measured in report.arms.items():
        assert measured.n == len(evaluation.items) == 6
        assert measured.tokens == sum(item.tokens[arm] for item in evaluation.items)
        assert measured.tokens_per_second == pytest.approx(measured.tokens / measured.seconds, rel=0.05)
        assert measured.ci95[0] <= measured.score <= measured.ci95[1]
        assert measured.stopped_rate == sum(not item.truncated[arm] for item in evaluation.items) / 6
        assert measured.peak_rss_bytes is None or measured.peak_rss_bytes > 50_000_000


def test_an_answer_ends_where_the_model_ends_its_turn(evaluation: Evaluation) -> None:
    evaluation.run()
    long_ago = evaluation.outputs_of(Arm.BASE)
    config = evaluation.job.inputs / "base/generation_config.json"
    # Every token but one now ends a turn, so every answer ends at its first token.
    config.write_text(json.dumps({"eos_token_id": list(range(1, 416))}))
    report = evaluation.run()
    assert report.arms[Arm.BASE].stopped_rate == 1.0
    assert report.arms[Arm.BASE].tokens <= 20
    assert evaluation.outputs_of(Arm.BASE) != long_ago


def test_sampling_and_penalties_of_the_base_do_not_reach_the_answers(evaluation: Evaluation) -> None:
    evaluation.run()
    greedy = evaluation.outputs_of(Arm.BASE)
    config = evaluation.job.inputs / "base/generation_config.json"
    config.write_text(json.dumps({"do_sample": True, "temperature": 2.0, "repetition_penalty": 5.0, "top_k": 50}))
    evaluation.run()
    assert evaluation.outputs_of(Arm.BASE) == greedy


def newest_checkpoint(evaluation: Evaluation) -> Path:
    records = map(json.loads, evaluation.records.getvalue().splitlines())
    return evaluation.job.root / [record["directory"] for record in records if record["record"] == "checkpoint"][-1]


def stop_after(evaluation: Evaluation, checkpoints: int) -> None:
    """Ask the engine to stop once it has reported so many checkpoints."""
    report = evaluation.reporter.checkpoint
    reported = 0

    def count_and_stop(step: int, directory: Path, root: Path) -> None:
        nonlocal reported
        report(step, directory, root)
        reported += 1
        if reported == checkpoints:
            evaluation.reporter.request_stop()

    evaluation.reporter.checkpoint = count_and_stop  # type: ignore[method-assign]


@pytest.mark.parametrize("batches_before_the_stop", [1, 4])
def test_an_interrupted_evaluation_goes_on_and_asks_nothing_twice(
    evaluation: Evaluation, models: Path, tmp_path: Path, batches_before_the_stop: int
) -> None:
    whole = Evaluation(tmp_path / "whole", models)
    whole.run()
    stop_after(evaluation, batches_before_the_stop)
    with pytest.raises(Interrupted):
        evaluation.run(checkpoint_seconds=0)
    assert not (evaluation.job.outputs / "report.json").exists()

    later = Evaluation(tmp_path / "later", models)
    checkpoint = shutil.copytree(newest_checkpoint(evaluation), later.job.inputs / "checkpoint")
    # A mark that no model would say: where it comes out again, the item was not asked again.
    saved = checkpoint / "answers.jsonl"
    batches = [json.loads(line) for line in saved.read_text("utf-8").splitlines()]
    answered = {(batch["arm"], item_id) for batch in batches for item_id in batch["answers"]}
    for batch in batches:
        for answer in batch["answers"].values():
            answer["text"] += " «saved»"
    saved.write_text("".join(json.dumps(batch) + "\n" for batch in batches))
    later.run()
    for item, uninterrupted in zip(later.items, whole.items, strict=True):
        for arm in Arm:
            mark = " «saved»" if (arm, item.id) in answered else ""
            assert item.outputs[arm] == uninterrupted.outputs[arm] + mark


def test_a_checkpoint_of_another_evaluation_is_refused(evaluation: Evaluation) -> None:
    evaluation.run(checkpoint_seconds=0)
    shutil.copytree(newest_checkpoint(evaluation), evaluation.job.inputs / "checkpoint")
    evaluation.run(checkpoint_seconds=0, metric="contains")
    with pytest.raises(InvalidInput, match="specification differ"):
        evaluation.run(max_new_tokens=5)


def without_chat_template(inputs: Path) -> None:
    (inputs / "base/chat_template.jinja").unlink()


def with_the_adapter_of_a_wider_base(inputs: Path) -> None:
    make_tiny_llama(inputs / "wide", seed=0, hidden=128)
    shutil.rmtree(inputs / "adapter")
    make_adapter(inputs / "wide", inputs / "adapter")


def with_the_adapter_of_a_deeper_base(inputs: Path) -> None:
    make_tiny_llama(inputs / "deep", seed=0, layers=3)
    shutil.rmtree(inputs / "adapter")
    make_adapter(inputs / "deep", inputs / "adapter")


def with_an_adapter_for_other_layers(inputs: Path) -> None:
    config = inputs / "adapter/adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"target_modules": ["qkv_proj"]}))


def with_an_adapter_that_trained_biases(inputs: Path) -> None:
    shutil.rmtree(inputs / "adapter")
    make_adapter(inputs / "base", inputs / "adapter", bias="lora_only")


def without_adapter_weights(inputs: Path) -> None:
    (inputs / "adapter/adapter_model.safetensors").unlink()


def with_a_base_that_lacks_weights(inputs: Path) -> None:
    file = inputs / "base/model.safetensors"
    weights = load_file(file)
    save_file({name: tensor for name, tensor in weights.items() if "layers.1.mlp" not in name}, file, {"format": "pt"})


def with_a_tokenizer_of_another_base(inputs: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(inputs / "base")
    tokenizer.add_tokens(["niño"])
    tokenizer.save_pretrained(inputs / "base")


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (with_a_base_that_lacks_weights, r"lacks 3 of its weights, such as model\.layers\.1\.mlp"),
        (with_a_tokenizer_of_another_base, "this tokenizer belongs to another model"),
        (without_chat_template, "no chat template"),
        (with_the_adapter_of_a_wider_base, "the adapter is for another base: .*o_proj.lora_A.*4×128.*4×64"),
        (with_the_adapter_of_a_deeper_base, "the adapter is for another base: .*layers.2.*absent"),
        (with_an_adapter_for_other_layers, "the adapter is for another base: .*qkv_proj"),
        (with_an_adapter_that_trained_biases, "biases"),
        (without_adapter_weights, "no adapter_model.safetensors"),
    ],
)
def test_inputs_that_do_not_go_together_are_refused_by_name(
    evaluation: Evaluation, spoil: Callable[[Path], None], complaint: str
) -> None:
    spoil(evaluation.job.inputs)
    with pytest.raises(InvalidInput, match=f"(?s){complaint}"):
        evaluation.run()
    assert not list(evaluation.job.outputs.iterdir())


def test_questions_without_room_for_an_answer_are_refused_with_their_lines(evaluation: Evaluation) -> None:
    with pytest.raises(InvalidInput) as refused:
        evaluation.run(max_new_tokens=500)
    assert refused.value.reason == "PROMPT_TOO_LONG"
    assert refused.value.violations[0].field.startswith("validation.jsonl line ")
