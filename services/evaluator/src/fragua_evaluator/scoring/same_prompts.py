"""Refuses to compare arms that were not asked the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fragua_evaluator.domain.arm import ArmSpec
from fragua_platform.errors import InvalidInput, Violation

_MAX_VIOLATIONS = 20

Prompts = Mapping[str, Mapping[str, str | None]]
"""By arm, the digest of the exact prompt by question; None where nobody can know it."""


def refuse_other_prompts(arms: Sequence[ArmSpec], prompts: Prompts) -> None:
    """Arms that descend from one base and are prompted alike must get the same prompt, token by token.

    Another template or tokenizer hidden in a file would otherwise pass for a difference between models.
    """
    violations = []
    for first, second in _comparable(arms):
        known = prompts[first.name], prompts[second.name]
        differing = [
            key for key, digest in known[0].items() if digest and known[1].get(key) and known[1][key] != digest
        ]
        if differing:
            problem = (
                f"gets other prompts than arm {first.name} for {len(differing)} of {len(known[0])} questions, such as "
                f"{differing[0]}: its chat template or tokenizer is another one"
            )
            violations.append(Violation(f"arms[{second.name}]", problem))
    if violations:
        raise InvalidInput(
            "; ".join(f"arm {v.field[5:-1]} {v.description}" for v in violations),
            reason="UNFAIR_PROMPTS",
            violations=violations[:_MAX_VIOLATIONS],
        )


def _comparable(arms: Sequence[ArmSpec]) -> list[tuple[ArmSpec, ArmSpec]]:
    """Each arm with the first one that has to agree with it."""
    first: dict[tuple[str, str], ArmSpec] = {}
    pairs = []
    for arm in arms:
        if not arm.family:
            continue
        alike = (arm.family, arm.prompting.model_dump_json())
        if alike in first:
            pairs.append((first[alike], arm))
        first.setdefault(alike, arm)
    return pairs
