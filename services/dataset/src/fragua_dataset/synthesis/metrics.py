"""Scores an example from 0 to 1 by a named metric, or by a function of the operator's own."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from fragua_dataset.domain.profile import Profile, RecordRules, SectionRule, TextLimits
from fragua_dataset.ingestion.checks.records import item_id
from fragua_dataset.ingestion.requirements import RECORD_FIELDS, SECTIONS
from fragua_platform.errors import InvalidInput
from fragua_platform.yaml_text import InvalidYaml, read_yaml

Row = Mapping[str, Any]
Metric = Callable[[Row], float]
"""Of a canonical row."""

_WEIGHTS: Final = {"completeness": 1.0, "title": 0.5, "description": 0.5} | dict.fromkeys(SECTIONS, 1.5)


class Unscored(Exception):
    """The metric failed on the row; the message says how, without a word of the row."""


def open_metric(name: str, profile: Profile) -> Metric:
    """Raises InvalidInput when there is no such metric here."""
    if ":" in name:
        return _checked(name, _own_function(name))
    rules = profile.record or RecordRules()
    metrics: dict[str, Metric] = {
        "completeness": _completeness,
        "length": lambda row: _length(row, profile),
        "yaml-valid": lambda row: _mean([float(_items_of(_record(row), section) is not None) for section in SECTIONS]),
        "requirements": lambda row: _requirements(_record(row), rules),
    }
    if name not in metrics:
        raise InvalidInput(f"there is no metric {name!r}; there are {', '.join(metrics)} and module:function")
    return metrics[name]


def _completeness(row: Row) -> float:
    fields = [_record(row).get(name) for name in RECORD_FIELDS] if "record" in row else _contents(row)
    return _mean([float(field not in (None, "", [], {})) for field in fields])


def _length(row: Row, profile: Profile) -> float:
    record = row.get("record")
    if record and profile.record:
        return _mean([_fit(record.get(name) or "", limits) for name, limits in profile.record.texts.items()])
    contents = _contents(row)
    return _mean([_fit(contents[0], profile.question), _fit(contents[-1], profile.answer)])


# R93
def _requirements(record: Row, rules: RecordRules) -> float:
    scores = {"completeness": _mean([float(bool(record.get(name))) for name in RECORD_FIELDS])}
    for name in ("title", "description"):
        scores[name] = _fit(record.get(name) or "", rules.texts.get(name, TextLimits(min_chars=1)))
    for name in SECTIONS:
        scores[name] = _section(_items_of(record, name), rules.sections.get(name, SectionRule()))
    return sum(_WEIGHTS[name] * score for name, score in scores.items()) / sum(_WEIGHTS.values())


def _section(items: list[Any] | None, rule: SectionRule) -> float:
    """A third each: it reads as a list, it has enough items, their ids are what they should be."""
    if items is None:
        return 0.0
    enough = min(len(items) / rule.min_items, 1.0) if rule.min_items else 1.0
    right_ids = [float(item_id(item) == rule.id_of(place)) for place, item in enumerate(items, 1)]
    return _mean([1.0, enough, _mean(right_ids) if rule.id_prefix else 1.0])


def _items_of(record: Row, section: str) -> list[Any] | None:
    try:
        items = read_yaml(record.get(section) or "")
    except InvalidYaml:
        return None
    return items if isinstance(items, list) else None


def _fit(text: str, limits: TextLimits) -> float:
    """1 within the limits, and less the further from them."""
    length = len(text.strip())
    if length < limits.min_chars:
        return length / limits.min_chars
    return limits.max_chars / length if limits.max_chars is not None and length > limits.max_chars else 1.0


def _record(row: Row) -> Row:
    record: Row = row.get("record", {})
    return record


def _contents(row: Row) -> list[str]:
    return [message["content"] for message in row["messages"] if message["role"] != "system"]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _own_function(name: str) -> Callable[[dict[str, Any]], Any]:
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except Exception as broken:  # whatever the module does when it is imported
        problem = f"the metric {name!r} cannot be loaded: {type(broken).__name__}; is its module on the worker's path?"
        raise InvalidInput(problem, reason="METRIC_NOT_LOADED") from broken
    if not callable(found):
        raise InvalidInput(f"the metric {name!r} is {type(found).__name__}, no function", reason="METRIC_NOT_LOADED")
    loaded: Callable[[dict[str, Any]], Any] = found
    return loaded


def _checked(name: str, function: Callable[[dict[str, Any]], Any]) -> Metric:
    def score(row: Row) -> float:
        try:
            value = float(function(dict(row)))
        except Exception as broken:  # not ours, so it may raise anything
            raise Unscored(f"{name} raised {type(broken).__name__}") from broken
        if not math.isfinite(value) or not 0 <= value <= 1:
            raise Unscored(f"{name} returned {value}, expected a number from 0 to 1")
        return value

    return score
