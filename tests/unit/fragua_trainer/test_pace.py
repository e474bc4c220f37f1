"""How much time is left, while steps take as long as they do on a large model."""

import pytest

from fragua_trainer.training.pace import Pace, in_words

QUARTER = 15 * 60.0


# R118, R119
def test_steps_of_fifteen_minutes_and_their_validations_are_counted() -> None:
    pace = Pace()
    pace.step_taken(QUARTER)
    pace.step_taken(QUARTER)
    pace.validated(600)

    assert pace.seconds_left(steps=88, validations=4) == 88 * QUARTER + 4 * 600


def test_within_a_step_what_is_done_of_it_is_not_left_any_more() -> None:
    pace = Pace()
    pace.step_taken(QUARTER)

    assert pace.seconds_left(steps=10, validations=0, done=0.5, seconds=450) == 9.5 * QUARTER


def test_the_first_step_is_estimated_from_its_first_micro_batches() -> None:
    assert Pace().seconds_left(steps=10, validations=0) is None
    assert Pace().seconds_left(steps=10, validations=0, done=0.25, seconds=225) == pytest.approx(9.75 * QUARTER)


def test_a_resumed_run_counts_the_steps_of_this_machine_as_soon_as_there_are_any() -> None:
    pace = Pace(former_seconds_per_step=10)

    assert pace.seconds_left(steps=6, validations=0) == 60
    pace.step_taken(QUARTER)
    assert pace.seconds_left(steps=5, validations=0) == 5 * QUARTER


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.6, "1 min 00 s"), (125, "2 min 05 s"), (88 * QUARTER, "22 h 00 min"), (200_000, "2 d 7 h")],
)
def test_a_time_is_told_in_two_units(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
