"""Points in time by cron's rules, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cronsim import CronSim, CronSimError

from fragua_platform.errors import Violation

_FIELDS = 5
_FAR = datetime(9000, 1, 1, tzinfo=UTC)


def schedule_problems(field: str, cron: str) -> list[Violation]:
    hint = "write five fields: minute hour day month weekday, e.g. `0 2 * * *` for every night at two"
    if len(cron.split()) != _FIELDS:
        return [Violation(field, f"{cron!r} has {len(cron.split())} fields; {hint}")]
    try:
        CronSim(cron, datetime.now(UTC))
    except CronSimError as wrong:
        return [Violation(field, f"{cron!r} is no schedule ({wrong}); {hint}")]
    return []


def last_point(cron: str, *, after: datetime, now: datetime) -> datetime | None:
    """The latest point that has come, and came after `after`."""
    # From a second later on, so that a point is due the moment it comes.
    for point in CronSim(cron, now.replace(microsecond=0) + timedelta(seconds=1), reverse=True):
        return point if point > after else None
    return None


def next_point(cron: str, now: datetime) -> datetime | None:
    return next(iter(CronSim(cron, now)), None)
