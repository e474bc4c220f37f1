"""Reads a question with choices: the user's message lists them by letter, the assistant's names the right one."""

from __future__ import annotations

from string import ascii_uppercase
from typing import Any

from fragua_dataset.domain.problems import ProblemCode
from fragua_dataset.domain.version_spec import VersionSpec
from fragua_dataset.ingestion.problems import kind_of, quoted
from fragua_dataset.ingestion.reading import Checklist, Reading, turns

_HINT_ANSWER = "give its index from 0, its letter or its text"


def read_multiple_choice(row: dict[str, Any], checklist: Checklist, _spec: VersionSpec) -> Reading:
    system = checklist.text(row, "system", required=False)
    question = checklist.text(row, "question")
    choices = _read_choices(row, checklist)
    right = _read_answer(row, choices, checklist) if choices else None
    if right is None:
        return Reading([], question, "/answer")
    listed = [f"{letter}) {choice}" for letter, choice in zip(ascii_uppercase, choices, strict=False)]
    asked = "\n".join([f"{question}\n", *listed])
    facts = {"choices": choices, "answer": right}
    return Reading(turns(system, asked, listed[right]), question, "/answer", facts, question_at="/question")


def _read_choices(row: dict[str, Any], checklist: Checklist) -> list[str]:
    """Empty when they are no choices."""
    found = row.get("choices")
    if not isinstance(found, list):
        missing = "choices" not in row
        message = "'choices' is missing" if missing else f"'choices' is {kind_of(found)}, expected a list"
        code = ProblemCode.MISSING_FIELD if missing else ProblemCode.WRONG_TYPE
        checklist.add("/choices", code, message, "write a list of texts")
        return []
    if not 2 <= len(found) <= len(ascii_uppercase):
        message = f"{len(found)} choices, expected 2 to {len(ascii_uppercase)}"
        checklist.add("/choices", ProblemCode.INVALID_CHOICES, message, "add choices or divide the question")
        return []
    by_place = {str(place): choice for place, choice in enumerate(found)}
    choices = [checklist.text(by_place, place, "/choices") for place in by_place]
    for place, choice in enumerate(choices):
        if choice and choice in choices[:place]:
            message = f"{quoted(choice)} is also choice {choices.index(choice)}"
            checklist.add(f"/choices/{place}", ProblemCode.INVALID_CHOICES, message, "change or delete one of them")
    return choices if all(choices) and len(set(choices)) == len(choices) else []


def _read_answer(row: dict[str, Any], choices: list[str], checklist: Checklist) -> int | None:
    """The index of the right choice."""
    answer = row.get("answer")
    if isinstance(answer, int) and not isinstance(answer, bool):
        if 0 <= answer < len(choices):
            return answer
        message = f"{answer} is no index of {len(choices)} choices"
        checklist.add("/answer", ProblemCode.WRONG_ANSWER, message, f"{_HINT_ANSWER}: 0 to {len(choices) - 1}")
        return None
    text = checklist.text(row, "answer").strip()
    if not text:
        return None
    by_text = [index for index, choice in enumerate(choices) if choice.strip() == text]
    by_letter = [index for index in range(len(choices)) if ascii_uppercase[index] == text.rstrip(").").upper()]
    named = sorted({*by_text, *by_letter}) or [index for index in range(len(choices)) if str(index) == text]
    if len(named) == 1:
        return named[0]
    message = f"{quoted(text)} names {'two' if named else 'none'} of the choices"
    checklist.add("/answer", ProblemCode.WRONG_ANSWER, message, _HINT_ANSWER)
    return None
