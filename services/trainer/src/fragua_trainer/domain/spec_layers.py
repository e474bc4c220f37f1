"""Puts a specification together from layers: a preset, a client's YAML, a client's fields; later ones win."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fragua_platform.errors import Violation
from fragua_trainer.domain.spec_problems import Location, read_with_problems
from fragua_trainer.domain.training_spec import TrainingSpec

_ALTERNATIVES = {"warmup_steps": "warmup_ratio", "warmup_ratio": "warmup_steps"}
"""Whoever gives one of these in a later layer means it in place of the other one."""


@dataclass(frozen=True)
class Layer:
    place: str
    """Where the client finds it, e.g. `training_job.spec_yaml`."""
    values: Mapping[str, Any]

    def holds(self, location: Location) -> bool:
        values: Any = self.values
        for key in location:
            if not isinstance(values, Mapping) or key not in values:
                return False
            values = values[key]
        return True


def read_layers(layers: Sequence[Layer]) -> tuple[TrainingSpec, list[Violation]]:
    """The specification that the layers make together, and all that is wrong with any of them or with their sum."""
    violations: list[Violation] = []
    merged: dict[str, Any] = {}
    for layer in layers:
        part, problems = read_with_problems(TrainingSpec, layer.values)
        violations += [Violation(f"{layer.place}.{problem.place}", problem.description) for problem in problems]
        if "provenance" in layer.values:
            violations.append(Violation(f"{layer.place}.provenance", "is written by the service; remove it"))
        merged = _over(merged, part.model_dump(mode="json", exclude_unset=True, exclude={"provenance"}))
    spec, contradictions = TrainingSpec.read(merged)
    for problem in contradictions:
        place = next((layer.place for layer in reversed(layers) if layer.holds(problem.location)), "training_job")
        violations.append(Violation(f"{place}.{problem.place}", problem.description))
    return spec, violations


def _over(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """`lower` with the values of `upper` in place of its own, section by section."""
    merged = {key: value for key, value in lower.items() if _ALTERNATIVES.get(key) not in upper}
    for key, value in upper.items():
        below = merged.get(key)
        merged[key] = _over(below, value) if isinstance(value, dict) and isinstance(below, dict) else value
    return merged
