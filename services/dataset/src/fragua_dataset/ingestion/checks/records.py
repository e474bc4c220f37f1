"""Checks a requirement record: its texts, and the items and ids of its sections."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from fragua_dataset.domain.problems import ProblemCode
from fragua_dataset.domain.profile import RecordRules, SectionRule
from fragua_dataset.ingestion.problems import Flaw, kind_of, quoted
from fragua_platform.yaml_text import InvalidYaml, read_yaml

_LEADING_ID = re.compile(r"([A-Za-z]{1,8}\d{1,9})\s*[:.)]")


def check_record(record: Mapping[str, Any], rules: RecordRules, at: str = "") -> Iterator[Flaw]:
    """`at` is where the record is in the row."""
    for name, limits in rules.texts.items():
        if outside := limits.broken_by(record.get(name) or ""):
            hint = f"write it so, or change record.texts.{name} of the profile"
            yield Flaw(f"{at}/{name}", ProblemCode.TEXT_LENGTH, f"{name!r} has {outside}", hint)
    for name, rule in rules.sections.items():
        yield from _check_section(record.get(name), name, rule, rules, f"{at}/{name}")


def item_id(item: Any) -> str | None:
    """`FR001` of `{id: FR001, …}`, of `FR001: …` or of the text `FR001. …`."""
    if isinstance(item, str):
        leading = _LEADING_ID.match(item)
        return leading[1] if leading else None
    if not isinstance(item, dict):
        return None
    named = item["id"] if "id" in item else next(iter(item)) if len(item) == 1 else None
    return None if named is None else str(named)


def wrong_ids(record: Mapping[str, Any], rules: RecordRules) -> list[str]:
    """As they are written, in order; an item without an id has none that could be wrong."""
    return [
        found
        for name, rule in rules.sections.items()
        if rule.id_prefix
        for item in _items_or_none(record.get(name))
        if (found := item_id(item)) is not None and not re.fullmatch(rule.id_pattern, found)
    ]


def _items_or_none(section: Any) -> list[Any]:
    if isinstance(section, str):
        try:
            section = read_yaml(section)
        except InvalidYaml:
            return []
    return section if isinstance(section, list) else []


def _check_section(section: Any, name: str, rule: SectionRule, rules: RecordRules, at: str) -> Iterator[Flaw]:
    if isinstance(section, list | dict) and section:
        hint = "write it as YAML in a string, or use the fixer yaml-strings"
        message = f"{name!r} is {kind_of(section)}, expected text that reads as a YAML list"
        yield Flaw(at, ProblemCode.NOT_A_YAML_STRING, message, hint)
    items = section or []
    if isinstance(section, str):
        try:
            items = read_yaml(section) or []
        except InvalidYaml as broken:
            hint = "mend it: one item to a line, each after a hyphen"
            yield Flaw(at, ProblemCode.INVALID_YAML, f"{name!r} is no YAML: {broken}", hint)
            return
    if not isinstance(items, list):
        message = f"{name!r} reads as {kind_of(items)}, expected a list"
        yield Flaw(at, ProblemCode.INVALID_YAML, message, "write one item to a line, each after a hyphen")
        return
    if len(items) < rule.min_items:
        message = f"{name!r} has {len(items)} items, expected at least {rule.min_items}"
        hint = f"add items, or change record.sections.{name} of the profile"
        yield Flaw(at, ProblemCode.TOO_FEW_ITEMS, message, hint)
    if rule.id_prefix:
        yield from _check_ids([item_id(item) for item in items], rule, rules, at)


def _check_ids(ids: list[str | None], rule: SectionRule, rules: RecordRules, at: str) -> Iterator[Flaw]:
    example = rule.id_of(1)
    for place, found in enumerate(ids, 1):
        if found is None:
            message = f"item {place} has no id, expected one such as {example}"
            yield Flaw(at, ProblemCode.ID_FORMAT, message, f"write it as `id: {rule.id_of(place)}`")
        elif not re.fullmatch(rule.id_pattern, found):
            hint = "write it so; the fixer pad-ids adds zeros that are missing"
            yield Flaw(at, ProblemCode.ID_FORMAT, f"{quoted(found)} is no id such as {example}", hint)
    known = [found for found in ids if found is not None]
    if rules.unique_ids:
        for repeated, count in Counter(known).items():
            if count == 1:
                continue
            message = f"{count} items have the id {quoted(repeated)}"
            yield Flaw(at, ProblemCode.DUPLICATE_ID, message, "give each item an id of its own")
    if rules.sequential_ids:
        yield from _first_gap(known, rule, at)


def _first_gap(ids: list[str], rule: SectionRule, at: str) -> Iterator[Flaw]:
    """One place tells it: whatever follows a gap is off too. Zeros that are missing are not its matter."""
    for place, found in enumerate(ids, 1):
        number = re.fullmatch(rf"{rule.id_prefix}(\d{{1,9}})", found)
        if number is None:
            return
        if int(number[1]) != place:
            message = f"{quoted(found)} comes where {rule.id_of(place)} is expected"
            yield Flaw(at, ProblemCode.ID_SEQUENCE, message, "number the items of a section 1, 2, 3…")
            return
