"""Collects what is wrong with a file: everything counted, the first thousand told."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from fragua_dataset.domain.problems import Problem, ProblemCode, Severity
from fragua_dataset.domain.profile import Profile
from fragua_platform.errors import InvalidData, Violation

MAX_LISTED = 1_000
MAX_VIOLATIONS = 20


@dataclass(frozen=True)
class Flaw:
    """A problem of one row, before it is known on which line the row is."""

    pointer: str
    code: ProblemCode
    message: str
    hint: str


class ProblemLog:
    """`profile` with the policies of the branch already in it."""

    def __init__(self, profile: Profile) -> None:
        self.counts: Counter[ProblemCode] = Counter()
        self._added = 0
        self._severity = profile.severity
        self._listed: dict[Severity, list[tuple[int, int, Flaw]]] = {severity: [] for severity in Severity}
        """Heaps with the last line on top, to be pushed out by an earlier one: problems come in any order."""

    def add(self, line: int | None, flaw: Flaw) -> None:
        self.add_lazily(line, flaw.code, lambda: flaw)

    def add_lazily(self, line: int | None, code: ProblemCode, flaw: Callable[[], Flaw]) -> None:
        """`flaw` is not asked for where it would not be listed."""
        severity = self._severity(code)
        if severity is None:
            return
        self.counts[code] += 1
        self._added += 1
        listed = self._listed[severity]
        # What is said of the whole file counts as line 0, so that nothing pushes it out.
        place = (-(line or 0), -self._added)
        if len(listed) < MAX_LISTED:
            heapq.heappush(listed, (*place, flaw()))
        elif place > listed[0][:2]:
            heapq.heapreplace(listed, (*place, flaw()))

    def weighs(self, code: ProblemCode) -> bool:
        """False: nobody wants to know, so nobody need look."""
        return self._severity(code) is not None

    @property
    def errors(self) -> int:
        return sum(count for code, count in self.counts.items() if self._severity(code) is Severity.ERROR)

    def severities(self) -> dict[ProblemCode, Severity]:
        return {code: severity for code in sorted(self.counts) if (severity := self._severity(code))}

    def listed(self) -> list[Problem]:
        """At most MAX_LISTED by line, the whole file's last; thousands of warnings never crowd out an error."""
        errors = self._in_order(Severity.ERROR)
        warnings = self._in_order(Severity.WARNING)[: MAX_LISTED - len(errors)]
        return sorted(errors + warnings, key=lambda problem: (problem.line is None, problem.line or 0))

    def _in_order(self, severity: Severity) -> list[Problem]:
        return [
            Problem(
                line=-line or None,
                pointer=flaw.pointer,
                code=flaw.code,
                severity=severity,
                message=flaw.message,
                hint=flaw.hint,
            )
            for line, _, flaw in sorted(self._listed[severity], reverse=True, key=lambda found: found[:2])
        ]

    def as_error(self, rows: int) -> InvalidData:
        errors = [problem for problem in self.listed() if problem.severity is Severity.ERROR]
        by_code = ", ".join(
            f"{count} {code}" for code, count in self.counts.most_common() if self._severity(code) is Severity.ERROR
        )
        return InvalidData(
            # Problems may quote rows, and what events tell of a failure is its first line.
            f"{_counted(self.errors, 'error')} in {_counted(rows, 'row')} ({by_code})\n"
            f"The first: {errors[0].place}: {errors[0].message}",
            reason="DATASET_INVALID",
            violations=[
                Violation(problem.place, f"{problem.message}; {problem.hint}") for problem in errors[:MAX_VIOLATIONS]
            ],
        )


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def quoted(text: object, limit: int = 40) -> str:
    """A short quotation of user data for a message."""
    quotation = repr(text)
    return quotation if len(quotation) <= limit else quotation[: limit - 1] + "…"


def kind_of(value: object) -> str:
    """What a JSON value is, in the words of a message."""
    if isinstance(value, bool | int | float):
        return "true or false" if isinstance(value, bool) else "a number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, list):
        return "a list"
    return "null" if value is None else "an object"


def pointer_to(parent: str, key: str | int) -> str:
    """The JSON pointer of a child (RFC 6901); what UTF-8 cannot write is escaped."""
    name = str(key).encode("utf-8", "backslashreplace").decode("utf-8")
    return f"{parent}/{name.replace('~', '~0').replace('/', '~1')}"
