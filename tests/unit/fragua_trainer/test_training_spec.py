"""What a training specification accepts, and how it answers what it does not."""

import pytest

from fragua_platform.errors import FailureClass, InvalidInput
from fragua_trainer.domain.training_spec import Precision, SchedulerShape, TrainingSpec


def test_an_empty_specification_takes_the_documented_defaults() -> None:
    spec = TrainingSpec.parse({})

    assert (spec.lora.rank, spec.lora.alpha, spec.lora.dropout) == (16, 32.0, 0.05)
    assert (spec.schedule.epochs, spec.schedule.batch_size, spec.schedule.learning_rate) == (3.0, 4, 2e-4)
    assert spec.schedule.scheduler is SchedulerShape.COSINE
    assert spec.precision is Precision.AUTO


def test_every_problem_is_named_with_its_place() -> None:
    with pytest.raises(InvalidInput) as refused:
        TrainingSpec.parse(
            {
                "lora": {"rank": 0, "alpha": float("nan"), "target_modules": ["q_proj", "q_proj"], "r": 8},
                "schedule": {"learning_rate": "fast", "scheduler": "zigzag"},
                "logging": {"save_steps": -1},
                "precision": "int3",
            }
        )

    assert {violation.field for violation in refused.value.violations} == {
        "lora.rank",
        "lora.alpha",
        "lora.target_modules",
        "lora.r",
        "schedule.learning_rate",
        "schedule.scheduler",
        "logging.save_steps",
        "precision",
    }
    assert refused.value.failure_class is FailureClass.USER_CONFIG
    assert "lora.rank" in refused.value.message


def test_a_violation_shows_the_value_that_broke_the_rule() -> None:
    with pytest.raises(InvalidInput) as refused:
        TrainingSpec.parse({"lora": {"rank": 4097}})

    assert "1024" in refused.value.violations[0].description
    assert "4097" in refused.value.violations[0].description


def test_provenance_cannot_grow_without_limit() -> None:
    with pytest.raises(InvalidInput):
        TrainingSpec.parse({"provenance": {f"key{number}": "" for number in range(65)}})
