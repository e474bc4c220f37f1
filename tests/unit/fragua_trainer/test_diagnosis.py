"""What is told of a run that cannot learn."""

import math
from pathlib import Path

import pytest
import torch

from fragua_platform.errors import FailureClass
from fragua_trainer.domain.training_spec import LoraSpec, Precision, Quantization, ScheduleSpec, TrainingSpec
from fragua_trainer.training.adapter import attach_lora, match_targets
from fragua_trainer.training.base_model import load_base_model, open_base_model
from fragua_trainer.training.batch import IGNORED, Example
from fragua_trainer.training.diagnosis import Diverged, overfitting, rows_at_fault, suspicion, with_rows
from fragua_trainer.training.loop import summed_loss
from fragua_trainer.training.memory_use import settings_that_help
from fragua_trainer.training.optimizers import trained_parameters
from fragua_trainer.training.run import Measured, Run
from tests.tiny_models import make_tiny_llama

CPU = torch.device("cpu")
POISONED = 77
"""A token whose embedding is no number."""


def poison(_module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], embedded: torch.Tensor) -> torch.Tensor:
    return embedded.masked_fill((inputs[0] == POISONED).unsqueeze(-1), math.nan)


def row(name: str, *tokens: int) -> Example:
    return Example([2, *tokens], [IGNORED, *tokens], name)


def test_the_row_behind_a_loss_that_is_no_number_is_found_and_named(tmp_path: Path) -> None:
    base = open_base_model(make_tiny_llama(tmp_path, seed=1))
    model = load_base_model(base, Precision.FP32, CPU)
    model.get_input_embeddings().register_forward_hook(poison)
    adapted = attach_lora(model, LoraSpec(rank=2), match_targets(model, LoraSpec()), 7, "")
    run = Run.start(adapted, ScheduleSpec(), CPU, Precision.FP32)
    rows = [row("aña", 10, 11), row("beña", 12, POISONED, 13), row("ceña", 14, 15)]

    found = rows_at_fault(
        rows, trained_parameters(run.optimizer), lambda one: summed_loss(run, run.arrange([[one]])[0])
    )
    named = with_rows(Diverged("training diverged at step 31: loss nan"), rows, found)

    assert [example.id for example in found] == ["beña"]
    assert named.message == "training diverged at step 31: loss nan; rows at fault: beña"
    assert [violation.field for violation in named.violations] == ["train.jsonl, row beña"]
    assert (named.reason, named.failure_class) == ("TRAINING_DIVERGED", FailureClass.USER_CONFIG)


def test_where_every_row_of_the_step_is_at_fault_the_base_is_suspected() -> None:
    rows = [Example([1], [1], id="aa"), Example([2], [2], id="ñu")]

    assert "look at the base's weights" in with_rows(Diverged("training diverged"), rows, rows).message
    assert "the base's weights" not in with_rows(Diverged("training diverged"), rows, rows[:1]).message


def test_where_no_row_alone_is_at_fault_those_of_the_step_are_named() -> None:
    rows = [row(f"{number}", 10) for number in range(12)]

    named = with_rows(Diverged("training diverged"), rows, [])

    assert named.message.endswith("none of them alone at fault: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more")


@pytest.mark.parametrize(
    ("losses", "told"),
    [
        ([2.0, 1.0, 0.0, 0.0, 0.0], "the loss is 0"),
        ([0.0, 0.0, 0.0], "the loss is 0"),
        ([2.0, 0.0, 0.0], ""),
        ([2.0005, 1.9995] * 5, "does not move"),
        ([2.0005, 1.9995] * 3, ""),
        ([2.0, 1.99, 1.98, 1.97, 1.96, 1.95, 1.94, 1.93], ""),
        ([2.0, 2.1, 2.2, 2.3, 2.4, 2.5, 2.6, 2.7], ""),
    ],
)
def test_a_loss_of_zero_and_one_that_does_not_move_are_suspect(losses: list[float], told: str) -> None:
    assert (told in suspicion(losses)) if told else suspicion(losses) == ""


# R179
def test_a_validation_loss_that_rises_while_the_loss_falls_is_suspect() -> None:
    risen = Measured(first=3.0, last=2.5, best=2.0, best_step=40)
    falling = [3.0, 1.0, 0.2]

    told = overfitting(falling, risen)

    assert "validation loss was 2.0000 at step 40 and is 2.5000 now" in told
    assert "early_stopping.patience" in told
    assert overfitting(falling, Measured(first=3.0, last=2.05, best=2.0, best_step=40)) == ""
    assert overfitting([3.0, 3.1], risen) == ""
    assert overfitting(falling, None) == ""


def test_three_settings_are_told_that_the_run_leaves_room_for() -> None:
    spec = TrainingSpec()
    tight = replace_schedule(spec, batch_size=1, gradient_checkpointing=True)

    assert [setting.split()[1] for setting in settings_that_help(spec)] == [
        "schedule.batch_size", "schedule.gradient_checkpointing", "quantization",
    ]  # fmt: skip
    told = settings_that_help(tight.model_copy(update={"quantization": Quantization.BNB4}))
    assert [setting.split()[1] for setting in told] == ["schedule.max_length", "lora.rank"]


@pytest.mark.parametrize(("rows", "accumulation"), [(8, 1), (3, 2), (7, 1), (6, 4), (1, 5)])
def test_less_memory_never_changes_which_rows_a_step_takes(rows: int, accumulation: int) -> None:
    spec = replace_schedule(TrainingSpec(), batch_size=rows, gradient_accumulation=accumulation)

    lighter = spec.smaller().schedule

    assert lighter.batch_size <= max(1, rows // 2)
    assert lighter.batch_size * lighter.gradient_accumulation == rows * accumulation
    assert lighter.gradient_checkpointing


def replace_schedule(spec: TrainingSpec, **changes: object) -> TrainingSpec:
    return spec.model_copy(update={"schedule": spec.schedule.model_copy(update=changes)})
