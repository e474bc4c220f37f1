"""A gate policy: when a candidate replaces what is in use. Data, so that every threshold stands in a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from fragua_evaluator.domain.frozen import Frozen, Slug
from fragua_evaluator.domain.verdict import Tier
from fragua_platform.errors import InvalidInput, Violation
from fragua_platform.yaml_text import extended, read_yaml_map

COMPONENT = "component:"

Share = Annotated[float, Field(ge=0, le=1)]
CriterionName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$")]
MetricName = Annotated[str, Field(max_length=200)]

MEASURES = {
    "score": "the mean score of the metric that the suite is compared by, or of `metric`",
    "valid": "the share of answers that are valid YAML or JSON, where the items say that they have to be",
    "complete": "the share of answers with everything that has to be there",
    "ended": "the share of answers that ended by themselves",
    "no_role_tokens": "the share of answers in which the model does not go on with somebody else's turn",
    "failed_share": "the share of items without an answer or a score; without a suite, of all answers",
    "perplexity": "of a suite of kind perplexity",
    "tokens_per_second": "generated tokens for each second of asking",
    "first_token_seconds": "the median time until the first token",
    "peak_rss_gib": "the most memory while the arm answered, in GiB",
    "improvement_points": "the score less the baseline's",
    "improvement_relative": "the score less the baseline's, as a part of the baseline's",
}
"""What a criterion may look at; besides, `component:<name>` is one component of a metric's score."""

OF_THE_WHOLE_ARM = frozenset({"tokens_per_second", "first_token_seconds", "peak_rss_gib"})
BETWEEN_ARMS = frozenset({"improvement_points", "improvement_relative"})


class Criterion(Frozen):
    """One measured value of an arm against one threshold."""

    name: CriterionName
    measure: Annotated[str, Field(max_length=100)]
    suite: Slug | None = None
    """None: the first suite of the evaluation; of measures of the whole arm, all."""
    metric: MetricName = ""
    """By its name in the report; empty: the one that arms are compared by."""
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    confident: bool = False
    """Whether the whole 95 % interval has to be on the right side of the threshold, not only the measured value."""
    tier: Tier = Tier.CRITICAL

    @property
    def threshold(self) -> float:
        return next(value for value in (self.at_least, self.above, self.at_most, self.below) if value is not None)

    @property
    def more_is_better(self) -> bool:
        return self.at_least is not None or self.above is not None

    @property
    def in_words(self) -> str:
        """`at least`, `above`, `at most`, `below`."""
        names = ("at_least", "above", "at_most", "below")
        return next(name.replace("_", " ") for name in names if getattr(self, name) is not None)

    def holds(self, value: float) -> bool:
        return (
            (self.at_least is not None and value >= self.at_least)
            or (self.above is not None and value > self.above)
            or (self.at_most is not None and value <= self.at_most)
            or (self.below is not None and value < self.below)
        )

    @model_validator(mode="after")
    def _one_known_measure_one_threshold(self) -> Self:
        problems = []
        known = self.measure in MEASURES or (self.measure.startswith(COMPONENT) and len(self.measure) > len(COMPONENT))
        if not known:
            problems.append(f"measure {self.measure!r} is none of {', '.join(MEASURES)}, {COMPONENT}<name>")
        thresholds = [self.at_least, self.above, self.at_most, self.below]
        if sum(threshold is not None for threshold in thresholds) != 1:
            problems.append("it needs exactly one of at_least, above, at_most, below")
        if self.measure in OF_THE_WHOLE_ARM and self.suite is not None:
            problems.append(f"{self.measure} is measured over all suites; leave `suite` out")
        if self.confident and (self.measure in OF_THE_WHOLE_ARM or self.measure in ("perplexity", "failed_share")):
            problems.append(f"{self.measure} has no interval that could be `confident`; leave it out")
        if problems:
            raise ValueError("; ".join(problems))
        return self


class Unit(StrEnum):
    POINTS = "points"
    """Of the score: 0.05 takes 0.72 to 0.77."""
    RELATIVE = "relative"
    """Of the simpler arm's score: 0.05 takes 0.72 to 0.756."""


class Improvement(Frozen):
    """How much better than every simpler arm the candidate has to be; below it the simpler arm stays."""

    at_least: Annotated[float, Field(gt=0, le=10)]
    measured_in: Unit = Unit.POINTS
    suites: tuple[Slug, ...] = Field(default=(), max_length=32)
    """On each of these; none named: on the first suite of the evaluation."""
    tier: Tier = Tier.CRITICAL

    def points(self, baseline_score: float) -> float:
        """What is asked over an arm with this score."""
        return self.at_least * abs(baseline_score) if self.measured_in is Unit.RELATIVE else self.at_least


class VoteRule(Frozen):
    """What people who compared answers blind have to say."""

    min_votes: Annotated[int, Field(ge=1, le=1_000_000)]
    """With fewer, the rule is undecided."""
    share_at_least: Share
    """Of the votes that prefer the candidate; a tie counts as half a vote."""
    confident: bool = False
    tier: Tier = Tier.SUPPORTING


class Selection(Frozen):
    """Instead of one candidate, the best of all arms: those that meet every critical criterion, by their score."""

    suite: Slug | None = None
    """Whose score decides; None: the first suite of the evaluation."""


class GatePolicy(Frozen):
    name: Slug
    description: Annotated[str, Field(max_length=1_000)] = ""
    alpha: Annotated[float, Field(gt=0, le=0.2)] = 0.05
    """Of the two-sided test against each simpler arm."""
    candidate: Slug | None = None
    """The arm in question; None: the last one. The arms before it are the simpler ones."""
    improvement: Improvement | None = None
    """None: only the criteria decide."""
    criteria: tuple[Criterion, ...] = Field(default=(), max_length=64)
    required_suites: tuple[Slug, ...] = Field(default=(), max_length=32)
    """Without one of them there is no GO."""
    min_items: Annotated[int, Field(ge=1, le=100_000)] = 1
    """In every suite that improvement, selection or requirement names; with fewer there is no GO."""
    votes: VoteRule | None = None
    selection: Selection | None = None
    next_options: tuple[Annotated[str, Field(min_length=1, max_length=500)], ...] = Field(default=(), max_length=16)
    """What to try when the candidate is not better, for people."""

    @property
    def label(self) -> str:
        """With the first digits of a digest of all that it says, e.g. `adopt@1f3a9c2b`."""
        said = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
        return f"{self.name}@{hashlib.sha256(said.encode()).hexdigest()[:8]}"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems = []
        names = [criterion.name for criterion in self.criteria]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            problems.append(f"more than one criterion is named {', '.join(twice)}")
        if reserved := sorted({"improvement", "required-suites", "min-items", "votes", "winner"} & set(names)):
            problems.append(f"{', '.join(reserved)}: a name that the gate uses itself; choose another")
        if self.improvement is None and not self.criteria:
            problems.append("it decides nothing: name an improvement or criteria")
        if self.selection is not None:
            unfit = [name for name in ("improvement", "votes", "candidate") if getattr(self, name) is not None]
            if unfit:
                problems.append(f"a selection has no one candidate; leave {', '.join(unfit)} out")
            if between := [c.name for c in self.criteria if c.measure in BETWEEN_ARMS]:
                problems.append(f"a selection has no baseline; leave {', '.join(between)} out")
            if not any(criterion.tier is Tier.CRITICAL for criterion in self.criteria):
                problems.append("a selection needs at least one critical criterion")
        if problems:
            raise ValueError("; ".join(problems))
        return self


MAX_POLICY_BYTES = 64 * 1024


def parse_gate_policy(
    policy: str | Mapping[str, Any], packaged: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
) -> GatePolicy:
    """From YAML or from its fields. `packaged` are the policies that it may extend, and whose names it may not take.

    Raises InvalidInput with one violation per problem.
    """
    fields = dict(read_policy_fields(policy) if isinstance(policy, str) else policy)
    violations = []
    if packaged and fields.get("name") in packaged:
        violations.append(Violation("policy.name", f"{fields['name']!r} is a packaged policy; choose another name"))
    base = fields.pop("extends", None)
    if isinstance(base, str) and base in packaged:
        fields = extended(packaged[base], fields)
    elif base is not None:
        names = ", ".join(packaged) or "nothing: only fields that a user wrote may extend a packaged policy"
        violations.append(Violation("policy.extends", f"{base!r} is not one of {names}"))
    try:
        parsed = GatePolicy.model_validate(fields)
    except ValidationError as invalid:
        violations += [
            Violation(
                ".".join(str(part) for part in ("policy", *error["loc"])), error["msg"].removeprefix("Value error, ")
            )
            for error in invalid.errors(include_url=False)
        ]
        raise _invalid(violations) from invalid
    if violations:
        raise _invalid(violations)
    return parsed


def read_policy_fields(text: str) -> dict[str, Any]:
    return read_yaml_map(text, "policy", MAX_POLICY_BYTES)


def _invalid(violations: list[Violation]) -> InvalidInput:
    listed = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
    return InvalidInput(f"the gate policy is invalid: {listed}", violations=violations)
