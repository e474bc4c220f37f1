"""What one optimizer step does to the weights."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fragua_platform.errors import FailureClass, FraguaError
from fragua_trainer.domain.training_spec import LoraSpec, Precision, ScheduleSpec
from fragua_trainer.training.adapter import attach_lora, match_targets, trainable_parameters
from fragua_trainer.training.base_model import load_base_model, open_base_model
from fragua_trainer.training.batch import IGNORED, Example, collate
from fragua_trainer.training.loop import summed_loss, take_step
from fragua_trainer.training.run import Run
from tests.tiny_models import make_tiny_llama

CPU = torch.device("cpu")
LONG = Example([2, *range(10, 40)], [IGNORED] * 5 + list(range(14, 40)))
SHORT = Example([2, 50, 51, 52], [IGNORED, IGNORED, 51, 52])


@pytest.fixture
def new_run(tmp_path: Path) -> Callable[..., Run]:
    torch.set_num_threads(1)
    base = open_base_model(make_tiny_llama(tmp_path, seed=1, strong=True))

    def start(precision: Precision = Precision.FP32, dropout: float = 0.0) -> Run:
        lora = LoraSpec(rank=4, dropout=dropout)
        model = load_base_model(base, precision, CPU)
        adapted = attach_lora(model, lora, match_targets(model, lora), 7, "")
        return Run.start(adapted, ScheduleSpec(), CPU, precision)

    return start


def adapter_of(run: Run) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for _, parameter in trainable_parameters(run.model)])


def test_the_loss_is_that_of_the_whole_logits(new_run: Callable[..., Run]) -> None:
    run = new_run()
    batch = collate([LONG, SHORT])

    with torch.no_grad():
        ours = summed_loss(run, batch)
        logits = run.model(input_ids=batch.tokens, attention_mask=batch.attention_mask).logits
        shifted = logits[:, :-1].flatten(0, 1), batch.labels[:, 1:].flatten()
        expected = torch.nn.functional.cross_entropy(*shifted, ignore_index=IGNORED, reduction="sum")

    assert ours.item() == pytest.approx(expected.item(), rel=1e-5)


def test_micro_batches_give_the_step_of_one_large_batch(new_run: Callable[..., Run]) -> None:
    whole, parts = new_run(), new_run()

    one = take_step(whole, [collate([LONG, SHORT])], 1e-3)
    two = take_step(parts, [collate([LONG]), collate([SHORT])], 1e-3)

    assert two.loss == pytest.approx(one.loss, rel=1e-5)
    assert two.grad_norm == pytest.approx(one.grad_norm, rel=1e-4)
    assert (one.supervised_tokens, one.tokens) == (two.supervised_tokens, two.tokens) == (28, 35)


def test_repeated_steps_lower_the_loss(new_run: Callable[..., Run]) -> None:
    run = new_run()

    losses = [take_step(run, [collate([LONG, SHORT])], 1e-2).loss for _ in range(8)]

    assert losses[-1] < losses[0] * 0.8


def test_bf16_trains_fp32_adapters_to_nearly_the_same_loss(new_run: Callable[..., Run]) -> None:
    exact, short = new_run(), new_run(Precision.BF16)

    losses = [take_step(run, [collate([LONG, SHORT])], 1e-3).loss for run in (exact, short)]

    assert losses[1] == pytest.approx(losses[0], rel=0.05)
    assert {parameter.dtype for _, parameter in trainable_parameters(short.model)} == {torch.float32}


# R35
def test_a_step_that_is_not_a_number_stops_before_it_touches_the_weights(new_run: Callable[..., Run]) -> None:
    run = new_run()
    run.state.step = 30
    with torch.no_grad():
        next(run.model.get_base_model().parameters()).fill_(float("nan"))
    before = adapter_of(run)

    with pytest.raises(FraguaError, match="diverged at step 31") as diverged:
        take_step(run, [collate([SHORT])], 1e-3)

    assert (diverged.value.reason, diverged.value.failure_class) == ("TRAINING_DIVERGED", FailureClass.USER_CONFIG)
    assert torch.equal(adapter_of(run), before)
