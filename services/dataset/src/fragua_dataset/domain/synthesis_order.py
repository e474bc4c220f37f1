"""What was ordered of a synthesis, with everything that it refers to pinned; and what an operator lets be asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from fragua_dataset.domain.synthesis_spec import METRICS, Generator, SynthesisSpec
from fragua_platform.errors import Violation
from fragua_platform.origins import Origin, allowed_origins, origin_of

KEY_PREFIX: Final = "FRAGUA_SYNTHESIS_"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelFiles(_Frozen):
    """Files of a model of our own, pinned by the digest of their manifest."""

    folder: str
    """Below `inputs/`."""
    prefix: str
    manifest_sha256: str


class SynthesisOrder(_Frozen):
    spec: SynthesisSpec
    key_variable: str = Field(default="", pattern=rf"^({KEY_PREFIX}[A-Z0-9_]{{1,64}})?$")
    """The worker's variable that holds the endpoint's key."""
    models: tuple[ModelFiles, ...] = ()


@dataclass(frozen=True)
class SynthesisPermissions:
    """Who orders a synthesis says what is asked; whom, and with which code of theirs, is for the operator to say."""

    endpoints: frozenset[Origin]
    metrics: frozenset[str]

    @classmethod
    def parse(cls, endpoints: str, metrics: str) -> SynthesisPermissions:
        """From two settings, each a list with commas. ValueError for what is no endpoint or no function."""
        return cls(allowed_origins(endpoints), frozenset(map(_function, _listed(metrics))))

    def problems(self, generator: Generator, metric: str) -> list[Violation]:
        """What is asked for and not allowed, by the fields of the request."""
        problems = []
        if generator.endpoint:
            try:
                allowed = origin_of(generator.endpoint) in self.endpoints
            except ValueError as wrong:
                problems.append(Violation("spec.generator.endpoint", str(wrong)))
            else:
                if not allowed:
                    problem = "is not allowed here; an operator can add it to FRAGUA_SYNTHESIS_ENDPOINTS"
                    problems.append(Violation("spec.generator.endpoint", problem))
        if ":" in metric and metric not in self.metrics:
            problem = f"{metric!r} is not allowed here; an operator can add it to FRAGUA_SYNTHESIS_METRICS"
            problems.append(Violation("spec.metric", problem))
        if ":" not in metric and metric not in METRICS:
            problem = f"there is no metric {metric!r}; there are {', '.join(METRICS)} and module:function"
            problems.append(Violation("spec.metric", problem))
        return problems


def _function(name: str) -> str:
    module, _, function = name.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), function)):
        raise ValueError(f"{name!r} is not module:function")
    return name


def _listed(setting: str) -> list[str]:
    return [part.strip() for part in setting.split(",") if part.strip()]
