"""Points in time by cron's rules: the last one that came, the next one that will."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fragua_dataset.application.schedule import last_point, next_point, schedule_problems

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "now", "last", "following"),
    [
        ("0 2 * * *", "2026-11-20T12:00:00", "2026-11-20T02:00", "2026-11-21T02:00"),
        ("0 2 * * *", "2026-11-20T01:59:59.999999", "2026-11-19T02:00", "2026-11-20T02:00"),
        ("0 0 1 * *", "2027-01-15T00:00:00", "2027-01-01T00:00", "2027-02-01T00:00"),
        ("*/15 * * * *", "2026-11-20T12:14:59", "2026-11-20T12:00", "2026-11-20T12:15"),
        ("0 12 29 2 *", "2026-11-20T12:00:00", "2024-02-29T12:00", "2028-02-29T12:00"),
        ("30 6 * * MON-FRI", "2026-11-22T12:00:00", "2026-11-20T06:30", "2026-11-23T06:30"),
        ("0 0 L * *", "2026-11-20T12:00:00", "2026-10-31T00:00", "2026-11-30T00:00"),
    ],
)
def test_the_last_point_has_come_and_the_next_has_not(cron: str, now: str, last: str, following: str) -> None:
    assert last_point(cron, after=LONG_AGO, now=moment(now)) == moment(last)
    assert next_point(cron, moment(now)) == moment(following)


def test_a_point_is_due_the_moment_it_comes_and_not_again_after_it() -> None:
    point = moment("2026-11-20T02:00")
    assert last_point("0 2 * * *", after=LONG_AGO, now=point) == point
    assert last_point("0 2 * * *", after=point - timedelta(seconds=1), now=point) == point
    assert last_point("0 2 * * *", after=point, now=point + timedelta(hours=23)) is None


@pytest.mark.parametrize(
    "cron", ["", "* * * *", "0 0 2 * * *", "61 * * * *", "0 0 31 2 *", "mañana a las dos en punto", "@daily"]
)
def test_what_is_no_schedule_is_told_with_the_way_out(cron: str) -> None:
    [problem] = schedule_problems("trigger.schedule.cron", cron)
    assert problem.field == "trigger.schedule.cron"
    assert "five fields" in problem.description


@pytest.mark.parametrize("cron", ["0 2 * * *", "0 0 1 * *", "*/5 8-18 * * mon-fri", "0 0 L * *"])
def test_what_is_a_schedule_has_no_problems(cron: str) -> None:
    assert schedule_problems("x", cron) == []
