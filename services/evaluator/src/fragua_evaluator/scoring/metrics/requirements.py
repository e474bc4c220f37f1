"""Scores an answer as a requirement record: its texts, and its three lists with numbered items."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from fragua_evaluator.domain.metric_catalog import SECTION_OPTIONS
from fragua_evaluator.scoring.metrics.documents import Unreadable, read_json_document, read_yaml_document
from fragua_platform.yaml_text import InvalidYaml, read_yaml

ID_PREFIXES: Final = {"functional_requirements": "FR", "non_functional_requirements": "NFR", "constraints": "C"}
RECORD_FIELDS: Final = ("title", "description", *ID_PREFIXES)

# R93
_WEIGHTS: Final = {"completeness": 1.0, "title": 0.5, "description": 0.5} | dict.fromkeys(ID_PREFIXES, 1.5)

_LEADING_ID = re.compile(r"([A-Za-z]{1,8}\d{1,9})\s*[:.)]")


def business_requirements(answer: str, options: Mapping[str, Any]) -> tuple[float, dict[str, float]]:
    """The score and what it is made of; beside that how the three lists do together: `validity`, `minimum`, `ids`."""
    record = read_record(answer) or {}
    parts = {
        "completeness": completeness(record),
        "title": _fit(_text(record, "title"), options["min_title_chars"], options["max_title_chars"]),
        "description": _fit(_text(record, "description"), options["min_description_chars"]),
    }
    lists = {name: _section(record, name, options[SECTION_OPTIONS[name]]) for name in ID_PREFIXES}
    parts |= {name: _mean(list(thirds.values())) for name, thirds in lists.items()}
    score = sum(_WEIGHTS[name] * part for name, part in parts.items()) / sum(_WEIGHTS.values())
    together = {part: _mean([thirds[part] for thirds in lists.values()]) for part in ("validity", "minimum", "ids")}
    return score, parts | together


def requirements_quick(answer: str, options: Mapping[str, Any]) -> tuple[float, dict[str, float]]:
    record = read_record(answer)
    found = items_of(record or {}, "functional_requirements") or []
    enough = len(found) >= options["min_functional_requirements"]
    parts = {"yaml_valid": float(record is not None), "functional_requirements": float(enough)}
    return float(all(parts.values())), parts


def read_record(answer: str) -> Mapping[str, Any] | None:
    """The answer as YAML or else as JSON, maybe in a code fence; None when it is no map."""
    for read in (read_yaml_document, read_json_document):
        try:
            document = read(answer)
        except Unreadable:
            continue
        return document if isinstance(document, dict) else None
    return None


def completeness(record: Mapping[str, Any]) -> float:
    present = [bool(_text(record, name)) for name in ("title", "description")]
    present += [record.get(name) not in (None, "", [], {}) for name in ID_PREFIXES]
    return _mean([float(there) for there in present])


def items_of(record: Mapping[str, Any], name: str) -> list[Any] | None:
    """The items of a list, which may stand in a text as YAML; None when it is none."""
    section = record.get(name)
    if isinstance(section, str):
        try:
            section = read_yaml(section)
        except InvalidYaml:
            return None
    return section if isinstance(section, list) else None


def item_id(item: Any) -> str | None:
    """`FR001` of `{id: FR001, …}`, of `FR001: …` or of the text `FR001. …`."""
    if isinstance(item, str):
        leading = _LEADING_ID.match(item)
        return leading[1] if leading else None
    if not isinstance(item, dict):
        return None
    named = item["id"] if "id" in item else next(iter(item)) if len(item) == 1 else None
    return None if named is None else str(named)


def _section(record: Mapping[str, Any], name: str, minimum: float) -> dict[str, float]:
    """A third each: it reads as a list, it has enough items, their ids are what they should be."""
    items = items_of(record, name)
    if items is None:
        return {"validity": 0.0, "minimum": 0.0, "ids": 0.0}
    right = [float(item_id(item) == f"{ID_PREFIXES[name]}{place:03}") for place, item in enumerate(items, 1)]
    return {"validity": 1.0, "minimum": min(len(items) / minimum, 1.0) if minimum else 1.0, "ids": _mean(right)}


def _fit(text: str, minimum: float, maximum: float | None = None) -> float:
    """1 within the limits, and less the further from them."""
    length = len(text)
    if length < minimum:
        return length / minimum
    return maximum / length if maximum is not None and length > maximum else 1.0


def _text(record: Mapping[str, Any], name: str) -> str:
    """A title such as `2026` is a number to YAML, and a title to people."""
    value = record.get(name)
    return str(value).strip() if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
