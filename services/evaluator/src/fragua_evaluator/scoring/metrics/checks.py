"""What is looked at in every answer beside the metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fragua_evaluator.domain.report import Answer, Ending
from fragua_evaluator.domain.suite import MetricChoice
from fragua_evaluator.scoring.item import Item
from fragua_evaluator.scoring.metrics.behaviour import has_role_tokens
from fragua_evaluator.scoring.metrics.documents import (
    Unreadable,
    form_of,
    keys_of,
    read_json_document,
    read_yaml_document,
)
from fragua_evaluator.scoring.metrics.requirements import RECORD_FIELDS


@dataclass(frozen=True)
class Form:
    """What an answer has to be."""

    name: str
    """`json` or `yaml`."""
    fields: frozenset[str] = frozenset()
    """The keys that it needs; empty where nobody says."""


def form_asked_by(choices: Sequence[MetricChoice]) -> Form | None:
    """The form that a suite's metrics look for; the one that says most about it decides."""
    forms = [form for choice in choices if (form := _form_asked_by(choice))]
    return max(forms, key=lambda form: len(form.fields), default=None)


def checks_of(item: Item, answer: Answer, asked: Form | None) -> dict[str, float]:
    if answer.ending is Ending.FAILED:
        return {}
    checks = {
        "ended": float(answer.ending is Ending.STOP),
        "no_role_tokens": float(not has_role_tokens(answer.text, item.expected)),
    }
    form = asked or _form_of(item.expected)
    if form is None:
        return checks
    document = _document(answer.text, form.name)
    checks["valid"] = float(document is not None)
    fields = form.fields or keys_of(_document(item.expected, form.name))
    if fields:
        filled = {name for name, value in _as_map(document).items() if value not in (None, "", [], {})}
        checks["complete"] = float(fields <= filled)
    return checks


def _form_asked_by(choice: MetricChoice) -> Form | None:
    if choice.name in ("business_requirements", "requirements_quick"):
        return Form("yaml", frozenset(RECORD_FIELDS))
    if choice.name not in ("json_valid", "yaml_valid", "json_schema", "yaml_schema"):
        return None
    schema = choice.options.get("schema", {})
    required = schema.get("required", ()) if isinstance(schema, Mapping) else ()
    return Form(choice.name[:4], frozenset(name for name in required if isinstance(name, str)))


def _form_of(expected: str) -> Form | None:
    form = form_of(expected)
    return Form(form) if form else None


def _document(text: str, form: str) -> Any:
    try:
        return read_json_document(text) if form == "json" else read_yaml_document(text)
    except Unreadable:
        return None


def _as_map(document: Any) -> Mapping[Any, Any]:
    return document if isinstance(document, dict) else {}
