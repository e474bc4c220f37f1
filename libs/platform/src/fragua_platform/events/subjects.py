"""Names on the bus: the subjects of work and dead letters, wildcards, and what a queue or a subscriber may be called."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations

from fragua_platform.errors import InvalidInput, Violation
from fragua_platform.events.cloudevents import SUBJECT_ROOT

JOBS_ROOT = "fragua.jobs"
DEAD_ROOT = "fragua.dead"

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def work_subject(queue: str) -> str:
    return f"{JOBS_ROOT}.{queue}"


def dead_work_subject(queue: str) -> str:
    return f"{DEAD_ROOT}.jobs.{queue}"


def dead_event_subject(durable: str) -> str:
    return f"{DEAD_ROOT}.events.{durable}"


def matches(pattern: str, subject: str) -> bool:
    """NATS wildcards: `*` is exactly one token, `>` is one or more and stands at the end."""
    wanted, given = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        if len(given) < len(wanted):
            return False
        wanted, given = wanted[:-1], given[: len(wanted) - 1]
    return len(wanted) == len(given) and all(token in ("*", got) for token, got in zip(wanted, given, strict=True))


def watched_root(subjects: Sequence[str]) -> str:
    """Whether `tail` is asked for events or for dead letters; one reader sees one kind."""
    return DEAD_ROOT if subjects and subjects[0].startswith(f"{DEAD_ROOT}.") else SUBJECT_ROOT


def require_name(kind: str, name: str) -> str:
    """Durables and queues become one token of a subject and a file name on the server."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"{kind} {name!r}: use 1 to 64 of the characters A-Z a-z 0-9 _ -")
    return name


def require_patterns(subjects: Sequence[str], root: str) -> list[str]:
    """The same answer on every bus: what JetStream would refuse, or silently never deliver, is refused here."""
    violations = [
        Violation(f"subjects[{place}]", f"{subject!r} is not a subject below {root}")
        for place, subject in enumerate(subjects)
        if not _is_pattern_below(subject, root)
    ]
    violations += [
        Violation("subjects", f"{one!r} and {other!r} overlap; an event would be delivered once, keep the wider one")
        for one, other in combinations(subjects, 2)
        if not violations and _overlap(one.split("."), other.split("."))
    ]
    if not subjects:
        violations = [Violation("subjects", f"name at least one, e.g. '{SUBJECT_ROOT}.>'")]
    if violations:
        raise InvalidInput("; ".join(violation.description for violation in violations), violations=violations)
    return list(subjects)


def _is_pattern_below(subject: str, root: str) -> bool:
    tokens = subject.split(".")
    well_formed = all(token and not re.search(r"\s", token) for token in tokens) and ">" not in tokens[:-1]
    return well_formed and subject.startswith(f"{root}.")


def _overlap(one: list[str], other: list[str]) -> bool:
    """Whether some subject matches both patterns."""
    for left, right in zip(one, other, strict=False):
        if ">" in (left, right):
            return True
        if left != right and "*" not in (left, right):
            return False
    return len(one) == len(other)
