"""Which examples each optimizer step sees, and at which learning rate."""

from typing import Any

import pytest

from fragua_trainer.domain.training_spec import LoggingSpec, SchedulerShape, ScheduleSpec
from fragua_trainer.training.schedule import Plan


def plan_of(examples: int, **schedule: Any) -> Plan:
    return Plan(ScheduleSpec(**schedule), examples)


def test_every_epoch_sees_every_example_once_in_another_order() -> None:
    plan = plan_of(10, batch_size=2, gradient_accumulation=2, epochs=2)

    epochs = [
        [index for step in steps for batch in plan.micro_batches(step) for index in batch]
        for steps in (range(3), range(3, 6))
    ]

    assert plan.total_steps == 6
    assert [sorted(epoch) for epoch in epochs] == [list(range(10))] * 2
    assert epochs[0] != epochs[1]


# R117
def test_the_order_depends_on_the_seed_and_the_step_alone() -> None:
    first, again, other = (plan_of(50, seed=seed, batch_size=5) for seed in (1, 1, 2))

    assert first.micro_batches(7) == again.micro_batches(7)
    assert first.micro_batches(7) != other.micro_batches(7)


def test_a_step_holds_as_many_micro_batches_as_asked() -> None:
    plan = plan_of(7, batch_size=2, gradient_accumulation=3)

    assert [len(batch) for batch in plan.micro_batches(0)] == [2, 2, 2]
    assert [len(batch) for batch in plan.micro_batches(1)] == [1]


def test_part_of_an_epoch_counts_as_its_part_of_steps() -> None:
    assert plan_of(100, batch_size=10, epochs=0.25).total_steps == 3
    assert plan_of(100, batch_size=10, epochs=3, max_steps=7).total_steps == 7


# R114
def test_no_number_of_steps_means_after_each_epoch() -> None:
    logging = LoggingSpec(save_steps=0, eval_steps=7).in_steps(plan_of(100, batch_size=8).steps_per_epoch)

    assert (logging.save_steps, logging.eval_steps) == (13, 7)


@pytest.mark.parametrize(
    ("shape", "halfway"), [(SchedulerShape.COSINE, 0.5), (SchedulerShape.LINEAR, 0.5), (SchedulerShape.CONSTANT, 1.0)]
)
# R90
def test_the_learning_rate_warms_up_and_takes_its_shape(shape: SchedulerShape, halfway: float) -> None:
    plan = plan_of(1, max_steps=110, warmup_steps=10, learning_rate=1.0, scheduler=shape)

    assert [plan.learning_rate(step) for step in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])
    assert plan.learning_rate(60) == pytest.approx(halfway)
    assert all(plan.learning_rate(step) > 0 for step in range(110))


def test_a_short_run_still_reaches_its_learning_rate() -> None:
    plan = plan_of(1, max_steps=4, warmup_steps=100, learning_rate=1.0, scheduler=SchedulerShape.CONSTANT)

    assert [plan.learning_rate(step) for step in range(4)] == [0.5, 1.0, 1.0, 1.0]


def test_the_largest_seed_gives_an_order_too() -> None:
    plan = plan_of(4, seed=2**63 - 1, batch_size=1, epochs=3)

    assert sorted(index for step in range(8, 12) for (index,) in plan.micro_batches(step)) == [0, 1, 2, 3]
