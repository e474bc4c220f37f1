"""What ties rows together: the group that their author gave them, the question that they ask, the type that they are of."""

from __future__ import annotations

import re
import unicodedata

import xxhash

from fragua_dataset.domain.problems import ProblemCode
from fragua_dataset.ingestion.problems import Flaw, kind_of, pointer_to
from fragua_dataset.ingestion.shapes import Example

_MOST_STRATA = 4096


def group_of(example: Example, group_field: str) -> str | Flaw:
    """What must stay together: the rows of one group, or the rows that ask one question."""
    group = example.metadata.get(group_field)
    if group is None:
        return f"question {normalised(example.question)}"
    if not isinstance(group, str | int):
        message = f"the group is {kind_of(group)}, expected text or a whole number"
        hint = f"change it, or name another group_field than {group_field!r}"
        return Flaw(pointer_to("", group_field), ProblemCode.INVALID_GROUP, message, hint)
    return f"group {group}"


def rank_of(group: str, seed: int) -> int:
    """Groups of the lowest ranks are held out."""
    return xxhash.xxh3_64_intdigest(group.encode(), seed)


def asked_in(example: Example) -> int:
    """Equal for rows that ask the same, so that their answers should not contradict each other."""
    *before, _answer = example.messages
    if "choices" in example.facts:
        system = [message["content"] for message in before if message["role"] == "system"]
        asked = [*system, example.question, *sorted(example.facts["choices"])]
    else:
        asked = [message["content"] for message in before]
    return xxhash.xxh3_64_intdigest("\n".join(map(normalised, asked)).encode())


def answer_to(example: Example) -> str:
    """Equal for answers that say the same, choices in whatever order."""
    facts = example.facts
    return normalised(facts["choices"][facts["answer"]] if "choices" in facts else example.messages[-1]["content"])


def normalised(text: str) -> str:
    """Equal for texts that differ in case, white space, punctuation or Unicode form only."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.findall(r"\w+", plain)) or plain.strip()


class Strata:
    """Numbers the values of a field as they appear; beyond thousands of them it names no types, and the rest are one."""

    def __init__(self, field: str) -> None:
        self._field = field
        self._numbers: dict[str, int] = {}

    def number_of(self, example: Example) -> int:
        name = str(example.metadata.get(self._field, ""))
        if len(self._numbers) < _MOST_STRATA:
            return self._numbers.setdefault(name, len(self._numbers))
        return self._numbers.get(name, _MOST_STRATA)
