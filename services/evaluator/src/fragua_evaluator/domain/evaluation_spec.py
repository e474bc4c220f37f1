"""What one evaluation is asked to do: `spec.json` of the scoring engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from fragua_evaluator.domain.arm import ArmSpec, Decoding, Limits
from fragua_evaluator.domain.frozen import Frozen
from fragua_evaluator.domain.gate_policy import OF_THE_WHOLE_ARM, GatePolicy
from fragua_evaluator.domain.suite import SuiteSpec
from fragua_platform.errors import InvalidInput, Violation

MAX_ARMS = 8
MAX_SUITES = 16
DEFAULT_MIN_IMPROVEMENT = 0.05
DEFAULT_ALPHA = 0.05
"""Where no policy says otherwise. R98"""

Place = tuple[int | str, ...]
"""Of an error within a specification, as pydantic tells it."""

ProvenanceKey = Annotated[str, StringConstraints(min_length=1, max_length=128)]
ProvenanceText = Annotated[str, StringConstraints(max_length=4096)]


class EvaluationSpec(Frozen):
    arms: tuple[ArmSpec, ...] = Field(min_length=1, max_length=MAX_ARMS)
    """From the simplest to the candidate."""
    suites: tuple[SuiteSpec, ...] = Field(min_length=1, max_length=MAX_SUITES)
    decoding: Decoding = Decoding()
    repeats: Annotated[int, Field(ge=1, le=20)] = 3
    """How often each question is asked where answers are generated; what is only weighed is weighed once."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Draws the items and the bootstrap samples."""
    policy: GatePolicy | None = None
    """What the verdict goes by; None gives none."""
    limits: Limits = Limits()
    checkpoint_seconds: Annotated[float, Field(ge=0, le=86_400)] = 5.0
    """The least time between two checkpoints; 0 saves one after every answer."""
    response_cache: Annotated[str, Field(max_length=4096)] = ""
    """A folder where answers are kept for later evaluations; empty keeps and takes none."""
    response_cache_mib: Annotated[int, Field(ge=1, le=1024 * 1024)] = 512
    """The oldest answers make room beyond this size."""
    evaluation: Annotated[str, Field(max_length=256)] = ""
    """The resource name, for the reports."""
    models: dict[str, ProvenanceText] = Field(default_factory=dict, max_length=MAX_ARMS)
    """What each arm's model is called where it comes from, by arm."""
    provenance: dict[ProvenanceKey, ProvenanceText] = Field(default_factory=dict, max_length=64)
    """Where the inputs came from; copied to the report."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for what, names in (
            ("arms", [arm.name for arm in self.arms]),
            ("suites", [suite.name for suite in self.suites]),
        ):
            if repeated := _repeated(names):
                raise ValueError(f"{what}: more than one is called {', '.join(repeated)}")
        return self

    def min_improvement(self, baseline_score: float) -> float:
        """In points of the score, over an arm with this score: what the power of a comparison is told for."""
        improvement = self.policy.improvement if self.policy else None
        return improvement.points(baseline_score) if improvement else DEFAULT_MIN_IMPROVEMENT

    @property
    def judges_cost(self) -> bool:
        """Whether the verdict asks for speed or memory, which only answers of this evaluation can tell."""
        criteria = self.policy.criteria if self.policy else ()
        return any(criterion.measure in OF_THE_WHOLE_ARM for criterion in criteria)

    @property
    def alpha(self) -> float:
        return self.policy.alpha if self.policy else DEFAULT_ALPHA

    def repeats_of(self, suite: SuiteSpec) -> int:
        return self.repeats if suite.generates else 1


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def parse_evaluation_spec(fields: Mapping[str, Any]) -> EvaluationSpec:
    """Raises InvalidInput with one violation per problem."""
    try:
        return EvaluationSpec.model_validate(fields)
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False)
        violations = [
            Violation(".".join(str(part) for part in error["loc"]), error["msg"].removeprefix("Value error, "))
            for error in errors
            if not _follows_from_another(error["type"], error["loc"], [other["loc"] for other in errors])
        ]
        listed = "; ".join(f"{violation.field}: {violation.description}" for violation in violations)
        raise InvalidInput(f"the evaluation specification is invalid: {listed}", violations=violations) from invalid


def _follows_from_another(kind: str, place: Place, places: Sequence[Place]) -> bool:
    """A list is called too short when its only entries are wrong; these are told already."""
    return kind == "too_short" and any(len(other) > len(place) and other[: len(place)] == place for other in places)
