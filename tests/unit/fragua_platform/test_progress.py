"""What becomes of progress records: remaining time from recent steps, events now and then, nothing measured is lost."""

from __future__ import annotations

import math

import pytest

from fragua_platform.jobs.progress import Measurement, ProgressBook
from fragua_platform.jobs.records import CheckpointRecord, FailureRecord, ProgressRecord, parse_record


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(clock: Clock) -> ProgressBook:
    return ProgressBook(clock)


def enter(book: ProgressBook, step: int, total: int = 100, *, phase: str = "counting", **fields: object) -> None:
    book.enter(ProgressRecord.model_validate({"phase": phase, "step": step, "total": total} | fields))


def eta(book: ProgressBook) -> float | None:
    news = book.news()
    assert news is not None
    return news.progress.eta_seconds


def test_the_remaining_time_follows_from_the_recent_steps(book: ProgressBook, clock: Clock) -> None:
    for step in range(1, 51):
        clock.seconds += 1.0 if step <= 25 else 4.0
        enter(book, step)

    assert eta(book) == 50 * 4.0


def test_the_first_step_and_an_unknown_total_promise_nothing(book: ProgressBook, clock: Clock) -> None:
    enter(book, 1)
    assert eta(book) is None
    clock.seconds += 1
    enter(book, 2, total=0)
    assert eta(book) is None


def test_a_resumed_run_is_not_taken_for_a_fast_one(book: ProgressBook, clock: Clock) -> None:
    enter(book, 80)
    clock.seconds += 2
    enter(book, 81)

    assert eta(book) == 19 * 2.0


@pytest.mark.parametrize("phase", ["counting", "verifying"])
def test_a_new_phase_or_a_new_round_is_measured_anew(book: ProgressBook, clock: Clock, phase: str) -> None:
    for step in (1, 2, 3):
        clock.seconds += 100
        enter(book, step)
    enter(book, 1, phase=phase)
    clock.seconds += 1
    enter(book, 2, phase=phase)

    assert eta(book) == 98 * 1.0


def test_there_is_news_until_it_is_told(book: ProgressBook) -> None:
    assert book.news() is None
    book.begin("fetching inputs")
    news = book.news()
    assert news is not None
    assert book.news() == news
    book.told(news)
    assert book.news() is None


def test_what_comes_in_while_news_is_told_is_news_again(book: ProgressBook) -> None:
    enter(book, 1, metrics={"loss": 2.0})
    news = book.news()
    assert news is not None
    enter(book, 2, metrics={"loss": 1.5})
    book.told(news)

    assert (more := book.news()) is not None
    assert more.progress.step == 2
    assert more.measurements == (Measurement(2, {"loss": 1.5}),)


def test_every_measurement_is_told_once_and_in_order(book: ProgressBook) -> None:
    for step in range(1201):
        enter(book, step, metrics={"loss": 1.0})
    told: list[int] = []
    while news := book.news():
        told += [measurement.step for measurement in news.measurements]
        book.told(news)

    assert told == list(range(1201))


def test_every_message_is_told_once_and_in_order(book: ProgressBook) -> None:
    said = [f"época {number}" for number in range(1201)]
    for step, message in enumerate(said):
        enter(book, step, message=message)
        enter(book, step, message=message)  # that it goes on is no new line
        enter(book, step)
    told: list[str] = []
    while news := book.news():
        told += news.lines
        book.told(news)

    assert told == said


def test_values_that_no_database_keeps_are_left_out(book: ProgressBook) -> None:
    enter(book, 1, metrics={"loss": math.nan, "norm": math.inf, "rate": 0.1})
    enter(book, 2, metrics={"loss": math.nan})

    news = book.news()
    assert news is not None
    assert news.measurements == (Measurement(1, {"rate": 0.1}),)


def test_events_come_at_most_every_five_seconds(book: ProgressBook, clock: Clock) -> None:
    events = []
    for step in range(1, 61):
        clock.seconds += 0.25
        enter(book, step)
        news = book.news()
        assert news is not None
        book.told(news)
        events.append(news.event)

    assert events.count(True) == 3


def test_a_long_message_is_cut(book: ProgressBook) -> None:
    enter(book, 1, message="ñ" * 10_000)

    news = book.news()
    assert news is not None
    assert len(news.progress.message) == 500


# --- records


def test_records_are_parsed() -> None:
    assert parse_record(b'{"record": "progress", "phase": "a\xc3\xb1o", "step": 1, "total": 0}') == ProgressRecord(
        phase="año", step=1, total=0
    )
    assert parse_record(b'{"record": "checkpoint", "step": 5, "directory": "checkpoints/step-5"}') == CheckpointRecord(
        step=5, directory="checkpoints/step-5"
    )
    failure = parse_record(
        b'{"record": "failure", "failure_class": "USER_DATA", "reason": "R", "message": "m", "violations": []}'
    )
    assert isinstance(failure, FailureRecord)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"garbage",
        b"5",
        b"[1]",
        b'"x"',
        b"{}",
        b"\xff\xfe",
        b'{"record": "other"}',
        b'{"record": "progress", "phase": "a"}',
        b'{"record": "progress", "phase": "a", "step": -1, "total": 0}',
        b'{"record": "progress", "phase": "a", "step": 99999999999999999999, "total": 0}',
        b'{"record": "progress", "phase": "a", "step": 1, "total": 0, "metrics": {"loss": "low"}}',
        b'{"record": "checkpoint", "step": 1, "directory": "/etc"}',
        b'{"record": "checkpoint", "step": 1, "directory": "checkpoints/../../other"}',
        b'{"record": "checkpoint", "step": 1, "directory": ""}',
        b'{"record": "failure", "failure_class": "NOBODY", "reason": "R", "message": "m", "violations": []}',
    ],
)
def test_what_is_no_record_is_nothing(line: bytes) -> None:
    assert parse_record(line) is None
