"""Finds libraries that are missing or older than what the service was made for, before they fail in the middle of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from fragua_platform.errors import FailureClass, FraguaError, Violation

TRIED_OUT = frozenset({"bitsandbytes"})
"""Whether it works is found out where a run asks for it; other runs can do without, as on platforms that lack it."""


class WrongInstallation(FraguaError):
    """Nothing is wrong with what was asked; the machine lacks what it takes."""

    reason = "WRONG_INSTALLATION"
    failure_class = FailureClass.INTERNAL


def refuse_wrong_installation(distribution: str = "fragua-trainer", version_of: Callable[[str], str] = version) -> None:
    """Raise `WrongInstallation` with every library that does not meet what `distribution` declares. R86, R87"""
    try:
        declared = requires(distribution) or []
    except PackageNotFoundError:
        return  # a source folder on the path declares nothing
    problems = list(_problems(map(Requirement, declared), version_of))
    if problems:
        listed = "; ".join(f"{problem.field} {problem.description}" for problem in problems)
        raise WrongInstallation(f"{listed}: install again, with `make setup` or a new image", violations=problems)


def _problems(declared: Iterable[Requirement], version_of: Callable[[str], str]) -> Iterable[Violation]:
    for requirement in declared:
        if requirement.name in TRIED_OUT:
            continue
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version_of(requirement.name)
        except PackageNotFoundError:
            yield Violation(requirement.name, f"is not installed, {requirement.specifier} is needed")
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            yield Violation(requirement.name, f"is {found}, {requirement.specifier} is needed")
