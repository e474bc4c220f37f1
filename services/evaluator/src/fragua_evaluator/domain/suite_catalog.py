"""Suites as YAML: the packaged ones by name, and a user's own from its text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from fragua_evaluator.domain.arm import Message, RelativePath, Role, Text
from fragua_evaluator.domain.frozen import Frozen, Slug
from fragua_evaluator.domain.metric_catalog import METRICS, check_metric_choice
from fragua_evaluator.domain.suite import MAX_CASES, Case, MetricChoice, SuiteKind, SuiteSpec
from fragua_platform.errors import InvalidInput, Violation
from fragua_platform.yaml_text import extended, read_yaml, read_yaml_map

MAX_SUITE_BYTES = 1024 * 1024


class Rows(StrEnum):
    """Whether a dataset version asks, too."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    NONE = "none"


class SuiteTemplate(Frozen):
    """A suite but for the dataset version whose held-out rows it asks: the request names that one."""

    name: Slug
    description: Annotated[str, Field(max_length=1_000)] = ""
    kind: SuiteKind = SuiteKind.GENERATION
    rows: Rows = Rows.REQUIRED
    system: Text = ""
    """What is said first in each case that has no system message of its own."""
    cases: tuple[Case, ...] = Field(default=(), max_length=MAX_CASES)
    metrics: tuple[MetricChoice, ...] = Field(default=(), max_length=16)
    max_items: Annotated[int, Field(ge=1, le=100_000)] = 150
    max_new_tokens: Annotated[int, Field(ge=1, le=8_192)] | None = None
    tag_field: Annotated[str, Field(max_length=64)] = "type"

    @model_validator(mode="after")
    def _can_become_a_suite(self) -> Self:
        if self.rows is Rows.NONE and not self.cases:
            raise ValueError("a suite without rows of a dataset version needs cases of its own")
        if self.kind is SuiteKind.GENERATION and not self.metrics:
            raise ValueError("a suite of kind generation needs at least one metric")
        if self.kind is not SuiteKind.GENERATION and self.metrics:
            raise ValueError(f"a suite of kind {self.kind} has a metric of its own; leave `metrics` out")
        return self

    def suite(self, rows: RelativePath | None) -> SuiteSpec:
        """The suite that asks these rows, and its own cases. Raises ValueError when it cannot."""
        if rows is None and self.rows is Rows.REQUIRED:
            raise ValueError(f"suite {self.name} asks the held-out rows of a dataset version: name one")
        return SuiteSpec(
            name=self.name,
            description=self.description,
            kind=self.kind,
            rows=None if self.rows is Rows.NONE else rows,
            cases=tuple(self._told_who_it_is(case) for case in self.cases),
            metrics=self.metrics,
            max_items=self.max_items,
            max_new_tokens=self.max_new_tokens,
            tag_field=self.tag_field,
        )

    def _told_who_it_is(self, case: Case) -> Case:
        if not self.system or case.messages[0].role is Role.SYSTEM:
            return case
        return case.model_copy(update={"messages": (Message(role=Role.SYSTEM, content=self.system), *case.messages)})


@cache
def packaged_suites() -> Mapping[str, SuiteTemplate]:
    """By name, in alphabetical order."""
    folder = files("fragua_evaluator") / "suites"
    found = sorted(file.name for file in folder.iterdir() if file.name.endswith(".yaml"))
    templates = [SuiteTemplate.model_validate(read_yaml((folder / name).read_text("utf-8"))) for name in found]
    return MappingProxyType({template.name: template for template in templates})


def parse_suite(text: str, allowed_metrics: Sequence[str] | None = None) -> SuiteTemplate:
    """A user's own suite, which may say `extends: stress` and then only what differs; a list is taken whole.

    Raises InvalidInput with one violation per problem. `allowed_metrics` are the operator's entries, None where somebody
    else asks for them.
    """
    fields = read_yaml_map(text, "suite", MAX_SUITE_BYTES)
    violations = []
    base = fields.pop("extends", None)
    packaged = packaged_suites()
    if base in packaged:
        fields = extended(packaged[str(base)].model_dump(mode="json", exclude_defaults=True), fields)
    elif base is not None:
        violations.append(Violation("suite.extends", f"{base!r} is not one of {', '.join(packaged)}"))
    if fields.get("name") in packaged:
        description = f"{fields['name']!r} is a packaged suite; choose another name"
        violations.append(Violation("suite.name", description))
    violations += _metric_problems(fields.get("metrics"), allowed_metrics)
    try:
        template = SuiteTemplate.model_validate(fields)
    except ValidationError as invalid:
        violations += [
            Violation(
                ".".join(str(part) for part in ("suite", *error["loc"])), error["msg"].removeprefix("Value error, ")
            )
            for error in invalid.errors(include_url=False)
        ]
        raise _invalid(violations) from invalid
    if violations := violations + _case_problems(template):
        raise _invalid(violations)
    return template


def _metric_problems(metrics: Any, allowed: Sequence[str] | None) -> list[Violation]:
    """Of those that can be read; what cannot is named with the other fields."""
    problems = []
    for place, fields in enumerate(metrics if isinstance(metrics, list) else []):
        try:
            choice = MetricChoice.model_validate(fields)
        except ValidationError:
            continue
        problems += check_metric_choice(choice, f"suite.metrics.{place}", allowed)
    return problems


def _case_problems(template: SuiteTemplate) -> list[Violation]:
    problems = [
        Violation("suite.cases", f"{count} cases have the id {case_id!r}; give each one its own")
        for case_id, count in Counter(case.id for case in template.cases).items()
        if count > 1
    ]
    comparing = [choice.name for choice in template.metrics if (m := METRICS.get(choice.name)) and m.needs_expected]
    for place, case in enumerate(template.cases):
        at = f"suite.cases.{place}"
        if case.messages[-1].role is not Role.USER:
            problems.append(Violation(f"{at}.messages", "the last message is the question, of role user"))
        if template.kind is SuiteKind.MULTIPLE_CHOICE:
            problems.append(Violation(at, "a case has no choices; multiple choice asks rows of a dataset version"))
        elif not case.expected and template.kind is SuiteKind.PERPLEXITY:
            problems.append(Violation(f"{at}.expected", "it is missing: perplexity is that of the expected answer"))
        elif not case.expected and comparing:
            problems.append(Violation(f"{at}.expected", f"it is missing: {', '.join(comparing)} compare with it"))
    return problems


def _invalid(violations: list[Violation]) -> InvalidInput:
    listed = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
    return InvalidInput(f"the suite is invalid: {listed}", violations=violations)
