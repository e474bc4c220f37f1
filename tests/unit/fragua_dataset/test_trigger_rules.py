"""What each kind of trigger makes of the facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from fragua_dataset.domain.attempts import AccuracyCycle
from fragua_dataset.domain.samples import TypeSamples, exercise_type_in
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
    """One whose rows name no type, and of which no row is in another dataset."""
    keys = [f"{dataset}-{number}" for number in range(samples)]
    return holding(dataset, {"": keys}, stamp)


def holding(dataset: str, keys: Mapping[str, Sequence[str]], stamp: str = "20261120T020000Z") -> ReadyVersion:
    samples = {name: TypeSamples(samples=len(found), keys=tuple(found)) for name, found in keys.items()}
    return ReadyVersion(f"branches/tutor/datasets/{dataset}/versions/{stamp}", dataset, samples)


def cause_of(version: ReadyVersion, exercise_type: str) -> str:
    return f"{version.name}#{exercise_type}"


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
    assert [cause.name for cause in verdict.causes] == [cause_of(version("multiple-choice", 212), "multiple-choice")]
    assert verdict.why == "multiple-choice has 212 samples, at least 200 were asked for"


def test_too_few_samples_fire_nothing_and_the_counts_say_why() -> None:
    verdict = judge(SampleCountCondition(min_samples=200), Facts([version("open", 199), version("oral", 3)]))
    assert not verdict.causes
    assert verdict.why == "open has 199 samples, at least 200 are asked for"
    oral = SampleCountCondition(min_samples=200, exercise_type="oral")
    assert (
        judge(oral, Facts([version("open", 300)])).why == "no version that is READY to train on holds samples of oral"
    )


def test_samples_that_wait_for_consolidation_are_told_but_do_not_count() -> None:
    condition, waiting = SampleCountCondition(min_samples=200), {"open": 60, "oral": 5}
    assert judge(condition, Facts([version("open", 150)], waiting)).why == (
        "open has 150 samples, at least 200 are asked for; 60 more wait for the next consolidation"
    )
    assert judge(condition, Facts(waiting=waiting)).why == (
        "no version that is READY to train on holds samples of any exercise type; 65 more wait for the next consolidation"
    )


def test_without_a_type_each_one_with_enough_samples_is_a_cause() -> None:
    ready = [version("open", 300), version("oral", 200), version("written", 100)]
    expected = [cause_of(ready[0], "open"), cause_of(ready[1], "oral")]
    assert causes(SampleCountCondition(min_samples=200), Facts(ready)) == expected


# R18
def test_an_import_that_mixes_types_counts_for_each_type_by_itself() -> None:
    mixed = holding("open", {"open": keys(120), "oral": keys(110, 500)})
    verdict = judge(SampleCountCondition(min_samples=200), Facts([mixed]))
    assert not verdict.causes, "230 rows, but 200 of no type"
    assert verdict.why == "open has 120 samples, at least 200 are asked for"
    oral = judge(SampleCountCondition(min_samples=100, exercise_type="oral"), Facts([mixed]))
    assert [cause.name for cause in oral.causes] == [cause_of(mixed, "oral")]
    assert oral.why == "oral has 110 samples (110 in open), at least 100 were asked for"


# R18
def test_samples_of_a_type_add_up_over_datasets_and_count_once() -> None:
    later = holding("gramatica", {"open": keys(80, start=120)}, "20261121T020000Z")
    earlier = holding("open", {"": keys(150)})
    condition = SampleCountCondition(min_samples=200, exercise_type="open")
    verdict = judge(condition, Facts([later, earlier]))
    assert [cause.name for cause in verdict.causes] == [cause_of(later, "open")]
    assert verdict.why == "open has 200 samples (150 in open, 80 in gramatica), at least 200 were asked for"
    twin = holding("open-migrated", {"open": keys(150)}, "20261121T020000Z")
    assert judge(condition, Facts([twin, earlier])).why == (
        "open has 150 samples (150 in open, 150 in open-migrated), at least 200 are asked for"
    )


def test_of_a_large_version_only_the_number_is_known_and_the_sum_is_told_as_a_bound() -> None:
    large = ReadyVersion(
        "branches/tutor/datasets/a/versions/20261120T020000Z", "a", {"open": TypeSamples(samples=12_000)}
    )
    verdict = judge(SampleCountCondition(min_samples=200), Facts([holding("b", {"open": keys(50)}), large]))
    assert verdict.why == "open has at least 12,000 samples (12,000 in a, 50 in b), at least 200 were asked for"


def test_types_are_the_same_however_they_are_written() -> None:
    assert [exercise_type_in(given) for given in ("Multiple_Choice", "multiple-choice", " opción  múltiple ")] == [
        "multiple-choice",
        "multiple-choice",
        "opción-múltiple",
    ]
    assert exercise_type_in(None) == ""
    assert [exercise_type_in(given) for given in (7, ["open"], "x" * 41)] == [None, None, None]


def test_a_version_is_no_cause_twice_but_its_successor_is_one() -> None:
    first, second = version("open", 300), version("open", 301, "20261121T020000Z")
    condition = SampleCountCondition(min_samples=200)
    assert causes(condition, Facts([first], fired=[cause_of(first, "open")])) == []
    assert "already" in judge(condition, Facts([first], fired=[cause_of(first, "open")])).why
    assert causes(condition, Facts([second], fired=[cause_of(first, "open")])) == [cause_of(second, "open")]


def keys(count: int, start: int = 0) -> list[str]:
    return [f"fila-{number}" for number in range(start, start + count)]


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
