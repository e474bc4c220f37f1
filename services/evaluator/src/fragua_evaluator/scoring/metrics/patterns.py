"""Looks for regular expressions in an answer; a pattern may take for ever, so this runs in a child process."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Scored = tuple[float, dict[str, float]]
"""A score with its components."""


def open_regex(options: Mapping[str, Any]) -> Callable[[str], Scored]:
    pattern = re.compile(options["pattern"], _flags(options))
    find = pattern.fullmatch if options["match"] == "full" else pattern.search
    return lambda output: (float(find(output) is not None), {})


def open_checklist(options: Mapping[str, Any]) -> Callable[[str], Scored]:
    points = [
        (name, re.compile(pattern, _flags(options)), is_wanted)
        for is_wanted, patterns in ((True, options["wanted"]), (False, options["unwanted"]))
        for name, pattern in patterns.items()
    ]

    def score(output: str) -> Scored:
        # An empty answer says nothing unwanted, and earns nothing by that.
        said = bool(output.strip())
        held = {
            name: float(said and (pattern.search(output) is not None) is wanted) for name, pattern, wanted in points
        }
        return sum(held.values()) / len(held), held

    return score


def _flags(options: Mapping[str, Any]) -> re.RegexFlag:
    return re.MULTILINE | (re.IGNORECASE if options["ignore_case"] else re.NOFLAG)
