"""What each kind of trigger makes of the facts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fragua_dataset.domain.attempts import AccuracyCycle
from fragua_dataset.domain.triggers import (
    CONDITION,
    AccuracyCondition,
    Facts,
    ReadyVersion,
    SampleCountCondition,
    ScheduleCondition,
    judge,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def version(dataset: str, samples: int, stamp: str = "20261120T020000Z") -> ReadyVersion:
    return ReadyVersion(f"branches/tutor/datasets/{dataset}/versions/{stamp}", dataset, samples)


def cycles(*means: float) -> list[AccuracyCycle]:
    """In the order in which they ended; facts have the newest first."""
    ended = [
        AccuracyCycle("tutor", number, NOON + timedelta(days=number), 50, mean)
        for number, mean in enumerate(means, start=1)
    ]
    return ended[::-1]


def causes(condition: SampleCountCondition | AccuracyCondition | ScheduleCondition, facts: Facts) -> list[str]:
    return [cause.name for cause in judge(condition, facts).causes]


# R18
def test_a_version_with_enough_samples_of_its_type_is_a_cause_and_the_counts_say_why() -> None:
    condition = SampleCountCondition(min_samples=200, exercise_type="multiple-choice")
    verdict = judge(condition, Facts([version("multiple-choice", 212), version("open", 5_000)]))
    assert [cause.name for cause in verdict.causes] == [version("multiple-choice", 212).name]
    assert verdict.why == "multiple-choice has 212 samples, at least 200 were asked for"


def test_too_few_samples_fire_nothing_and_the_counts_say_why() -> None:
    verdict = judge(SampleCountCondition(min_samples=200), Facts([version("open", 199), version("oral", 3)]))
    assert not verdict.causes
    assert verdict.why == "open has 199 samples, at least 200 are asked for"
    oral = SampleCountCondition(min_samples=200, exercise_type="oral")
    assert judge(oral, Facts([version("open", 300)])).why == "no version of oral is READY to train on"


def test_samples_that_wait_for_consolidation_are_told_but_do_not_count() -> None:
    condition, waiting = SampleCountCondition(min_samples=200), {"open": 60, "oral": 5}
    assert judge(condition, Facts([version("open", 150)], waiting)).why == (
        "open has 150 samples, at least 200 are asked for; 60 more wait for the next consolidation"
    )
    assert judge(condition, Facts(waiting=waiting)).why == (
        "no version of any exercise type is READY to train on; 65 more wait for the next consolidation"
    )


def test_without_a_type_each_dataset_with_enough_samples_is_a_cause() -> None:
    ready = [version("open", 300), version("oral", 200), version("written", 100)]
    assert causes(SampleCountCondition(min_samples=200), Facts(ready)) == [ready[0].name, ready[1].name]


def test_a_version_is_no_cause_twice_but_its_successor_is_one() -> None:
    first, second = version("open", 300), version("open", 301, "20261121T020000Z")
    condition = SampleCountCondition(min_samples=200)
    assert causes(condition, Facts([first], fired=[first.name])) == []
    assert "already" in judge(condition, Facts([first], fired=[first.name])).why
    assert causes(condition, Facts([second], fired=[first.name])) == [second.name]


# R28
def test_two_cycles_in_a_row_with_a_high_mean_are_a_cause_and_one_is_none() -> None:
    condition = AccuracyCondition(min_mean_accuracy=0.92, cycles=2)
    assert causes(condition, Facts(cycles=cycles(0.95))) == []
    assert causes(condition, Facts(cycles=cycles(0.92, 0.93))) == ["branches/tutor/cycles/2"]
    assert causes(condition, Facts(cycles=cycles(0.93, 0.919))) == []
    assert causes(condition, Facts(cycles=cycles(0.99, 0.5, 0.99))) == []
    why = judge(condition, Facts(cycles=cycles(0.5, 0.92, 0.96))).why
    assert "92.0%, 96.0% over 100 attempts" in why


def test_the_cycles_of_one_firing_do_not_count_towards_the_next() -> None:
    condition = AccuracyCondition(min_mean_accuracy=0.92, cycles=2)
    fired = ["branches/tutor/cycles/2"]
    assert causes(condition, Facts(cycles=cycles(0.95, 0.95, 0.95), fired=fired)) == []
    assert causes(condition, Facts(cycles=cycles(0.95, 0.95, 0.95, 0.95), fired=fired)) == ["branches/tutor/cycles/4"]


# R60, R172
def test_a_point_of_the_schedule_is_a_cause_once() -> None:
    condition = ScheduleCondition(cron="0 0 1 * *")
    due, following = datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    facts = Facts(due=due, next_due=following)
    assert causes(condition, facts) == ["2026-12-01T00:00:00Z"]
    assert causes(condition, Facts(due=due, next_due=following, fired=["2026-12-01T00:00:00Z"])) == []
    assert judge(condition, Facts(next_due=following)).why == "`0 0 1 * *` is due next at 2027-01-01 00:00 UTC"


def test_conditions_survive_being_written_down() -> None:
    for condition in (
        SampleCountCondition(min_samples=200, exercise_type="open"),
        AccuracyCondition(min_mean_accuracy=0.92, cycles=2),
        ScheduleCondition(cron="0 0 1 * *"),
    ):
        assert CONDITION.validate_json(CONDITION.dump_json(condition)) == condition
