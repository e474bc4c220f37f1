"""How a preset, a YAML text and the fields of a request become one specification, and what is told of mistakes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import yaml

from fragua.trainer.v1 import trainer_pb2
from fragua_platform.errors import InvalidInput
from fragua_platform.jobs.job import Job
from fragua_trainer.api.training_messages import job_to_message, order_from_message
from fragua_trainer.domain.training_order import ResolvedOrder
from fragua_trainer.domain.training_spec import LoraBias, Optimizer, Quantization, SchedulerShape, TrainingSpec


def test_fields_win_over_the_yaml_and_the_yaml_over_the_preset() -> None:
    order = order_from_message(
        trainer_pb2.TrainingJob(
            preset="tutor",
            spec_yaml="lora: {rank: 8, alpha: 64}\nlogging: {keep_checkpoints: 5}",
            lora=trainer_pb2.LoraSpec(rank=4),
            schedule=trainer_pb2.Schedule(save_steps=7),
        )
    )

    assert (order.spec.lora.rank, order.spec.lora.alpha) == (4, 64)
    assert order.spec.schedule.gradient_accumulation == 8  # the preset's
    assert (order.spec.logging.save_steps, order.spec.logging.keep_checkpoints) == (7, 5)
    assert order.preset == "tutor"


def test_warm_up_in_steps_takes_the_place_of_the_preset_s_ratio() -> None:
    order = order_from_message(trainer_pb2.TrainingJob(preset="ba-cpu", schedule=trainer_pb2.Schedule(warmup_steps=3)))

    assert (order.spec.schedule.warmup_steps, order.spec.schedule.warmup_ratio) == (3, None)


def test_a_field_that_is_set_to_its_zero_counts_as_set() -> None:
    order = order_from_message(
        trainer_pb2.TrainingJob(
            preset="branch", lora=trainer_pb2.LoraSpec(dropout=0), schedule=trainer_pb2.Schedule(packing=False)
        )
    )

    assert order.spec.lora.dropout == 0
    assert order.spec.schedule.packing is False


def test_every_mistake_of_every_layer_is_told_at_once_with_its_place() -> None:
    with pytest.raises(InvalidInput) as refused:
        order_from_message(
            trainer_pb2.TrainingJob(
                preset="tuttor",
                spec_yaml="lora: {rnk: 8}\nlr: 1e-3\nschedule: {warmup_steps: 5, warmup_ratio: 0.5}",
                precision=trainer_pb2.PRECISION_BF16,
                lora=trainer_pb2.LoraSpec(lora_plus_ratio=900),
                schedule=trainer_pb2.Schedule(learning_rate=0.5),
            )
        )

    told = {violation.field: violation.description for violation in refused.value.violations}
    assert "tutor" in told["training_job.preset"]
    assert told["training_job.spec_yaml.lora.rnk"].endswith("did you mean lora.rank?")
    assert told["training_job.spec_yaml.lr"].endswith("here it is schedule.learning_rate")
    assert "excludes schedule.warmup_steps" in told["training_job.spec_yaml.schedule.warmup_ratio"]
    assert "above 1" in told["training_job.lora.lora_plus_ratio"]
    assert len(told) == 5


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("lora: [", "is not YAML"),
        ("- 1", "must be keys with values"),
        ("seed: 1\nseed: 2", "line 2: 'seed' stands twice"),
        ("a: &a [1]\nb: *a", "line 2: write the value out"),
        ("[" * 30_000, "is nested too deeply"),
        ("provenance: {branch: mine}", "is written by the service"),
    ],
)
def test_a_yaml_that_cannot_be_taken_says_why(text: str, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        order_from_message(trainer_pb2.TrainingJob(spec_yaml=text))


def test_a_job_shows_its_whole_specification_and_every_field_reads_back() -> None:
    asked = trainer_pb2.TrainingJob(
        dataset_version="branches/ba/datasets/d/versions/1",
        base_model="baseModels/tiny/revisions/a",
        lora=trainer_pb2.LoraSpec(
            rank=4,
            target_modules=["q_proj"],
            bias=trainer_pb2.LORA_BIAS_ALL,
            rslora=True,
            dora=True,
            lora_plus_ratio=16,
        ),
        schedule=trainer_pb2.Schedule(
            warmup_ratio=0.25,
            scheduler=trainer_pb2.SCHEDULER_LINEAR,
            neftune_alpha=5,
            packing=False,
            gradient_checkpointing=True,
            save_steps=0,
            keep_checkpoints=4,
        ),
        precision=trainer_pb2.PRECISION_BF16,
        optimizer=trainer_pb2.OPTIMIZER_PAGED_ADAMW_8BIT,
        early_stopping=trainer_pb2.EarlyStopping(
            patience=2, min_delta=0.01, metric="contains", rows=8, answer_tokens=32
        ),
        limits=trainer_pb2.Limits(train_rows=50, max_seconds=3600),
        warm_start="branches/ba/adapters/3",
        substitution=trainer_pb2.SUBSTITUTION_POLICY_ALLOW,
        retry_smaller=True,
        shard_base=False,
    )
    order = order_from_message(asked)
    assert (order.spec.lora.bias, order.spec.schedule.scheduler) == (LoraBias.ALL, SchedulerShape.LINEAR)
    assert (order.spec.quantization, order.spec.optimizer) == (Quantization.AUTO, Optimizer.PAGED_ADAMW_8BIT)

    shown = job_to_message(_job(order.spec.model_dump(mode="json")), None)

    assert order_from_message(shown).spec == order.spec
    assert TrainingSpec.parse(yaml.safe_load(shown.resolved_spec_yaml)) == order.spec


def _job(spec: dict[str, object]) -> Job:
    order = {"dataset_version": "d", "base_model": "b", "spec": spec}
    pinned = dict.fromkeys(("dataset_prefix", "dataset_manifest_sha256", "base_prefix", "base_manifest_sha256"), "x")
    now = datetime.now(UTC)
    return Job(
        id="1",
        kind="training",
        branch="ba",
        name="branches/ba/trainingJobs/1",
        spec=ResolvedOrder.model_validate({"order": order} | pinned).model_dump(mode="json"),
        request_id="1",
        request_digest="",
        max_attempts=1,
        traceparent="",
        created=now,
        updated=now,
    )
