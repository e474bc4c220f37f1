"""Tells what was the same for all arms, and what was not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fragua_evaluator.domain.arm import Prompting
from fragua_evaluator.domain.evaluation_spec import EvaluationSpec
from fragua_evaluator.domain.report import Fairness
from fragua_evaluator.scoring.items import Questionnaire

_ABSENT: Final = "does not apply"


def fairness(
    spec: EvaluationSpec, questionnaires: Sequence[Questionnaire], conditions: Mapping[str, Mapping[str, Any]]
) -> Fairness:
    """`conditions` are what the arms' targets tell of themselves, by arm."""
    asked = {
        "items": {q.suite.name: f"{len(q.items)} of {q.available}, drawn by seed {spec.seed}" for q in questionnaires},
        "items_sha256": {q.suite.name: q.sha256 for q in questionnaires},
        "decoding": spec.decoding.model_dump(),
        "repeats": spec.repeats,
    }
    told = {arm.name: {"prompting": _prompting(arm.prompting), **conditions.get(arm.name, {})} for arm in spec.arms}
    names = {name: None for mine in told.values() for name in mine}
    same, different = dict[str, Any](asked), dict[str, dict[str, Any]]()
    for name in names:
        values = {arm: mine.get(name, _ABSENT) for arm, mine in told.items()}
        first, *others = values.values()
        if all(value == first for value in others):
            same[name] = first
        else:
            different[name] = values
    return Fairness(same=same, different=different)


def _prompting(prompting: Prompting) -> str:
    if prompting == Prompting():
        return "the question as it stands"
    said = [f"a system message of its own ({len(prompting.system)} characters)"] if prompting.system else []
    if prompting.demonstrations:
        said.append(f"{len(prompting.demonstrations)} turns of demonstrations")
    return " and ".join(said)
