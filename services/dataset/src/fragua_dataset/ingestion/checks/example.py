"""Checks the content of one example: lengths, bare answers, misread text, private data, and the rules for records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fragua_dataset.domain.problems import ProblemCode
from fragua_dataset.domain.profile import Profile
from fragua_dataset.ingestion.checks.private_data import find_private
from fragua_dataset.ingestion.checks.records import check_record
from fragua_dataset.ingestion.mojibake import may_be_misread, misread
from fragua_dataset.ingestion.problems import Flaw, quoted
from fragua_dataset.ingestion.shapes import Example
from fragua_platform.yaml_text import write_yaml


def check_example(example: Example, profile: Profile) -> list[Flaw]:
    """What is wrong with the content of the row by itself, as far as the profile wants to know."""
    flaws = _length_flaws(example, profile)
    text = "\n".join([message["content"] for message in example.messages])
    misread_matters = profile.severity(ProblemCode.MOJIBAKE)
    privacy_matters = profile.severity(ProblemCode.SECRET) or profile.severity(ProblemCode.PERSONAL_DATA)
    if (misread_matters and may_be_misread(text)) or (privacy_matters and find_private(text)):
        for pointer, part in _parts(example):
            flaws += _misreading(pointer, part)
            flaws += _private_data(pointer, part)
    record = example.facts.get("record")
    if record and profile.record:
        flaws += check_record(record, profile.record, _record_at(example))
    return [flaw for flaw in flaws if profile.severity(flaw.code)] if flaws else flaws


def _length_flaws(example: Example, profile: Profile) -> list[Flaw]:
    flaws = []
    if outside := profile.question.broken_by(example.question):
        message = f"the question has {outside}"
        hint = "write it so that it can be understood by itself, or change question of the profile"
        flaws.append(Flaw(example.question_at, ProblemCode.QUESTION_LENGTH, message, hint))
    if "choices" in example.facts:
        # The letter with its text is the whole answer.
        return flaws
    answer = example.messages[-1]["content"]
    if outside := profile.answer.broken_by(answer):
        short = len(answer.strip()) < profile.answer.min_chars
        code = ProblemCode.ANSWER_TOO_SHORT if short else ProblemCode.ANSWER_TOO_LONG
        hint = f"{'write it out' if short else 'shorten or divide it'}, or change answer of the profile"
        flaws.append(Flaw(example.answer_at, code, f"the answer has {outside}", hint))
    if profile.is_bare(answer):
        hint = "explain it: say why, and give an example"
        flaws.append(Flaw(example.answer_at, ProblemCode.BARE_ANSWER, f"the answer is {quoted(answer)} alone", hint))
    return flaws


def _misreading(pointer: str, text: str) -> Iterator[Flaw]:
    if found := misread(text):
        message = f"{found.found!r} looks like {found.meant!r}, written as UTF-8 and read as {found.encoding}"
        hint = "open the original as UTF-8 and save it again, or use the fixer repair-mojibake"
        yield Flaw(pointer, ProblemCode.MOJIBAKE, message, hint)


def _private_data(pointer: str, text: str) -> Iterator[Flaw]:
    for found in find_private(text):
        message = f"{found.kind} at character {found.at + 1} of the text"
        secret = found.code is ProblemCode.SECRET
        hint = "revoke it and take it out" if secret else "take it out, or put an invented one in its place"
        yield Flaw(pointer, found.code, message, hint)


def _parts(example: Example) -> Iterator[tuple[str, str]]:
    """Every text of the row that is learnt from, with its place."""
    record: dict[str, Any] | None = example.facts.get("record")
    if record is None:
        for index, message in enumerate(example.messages):
            yield _message_at(example, index), message["content"]
        return
    if example.messages[0]["role"] == "system":
        yield _message_at(example, 0), example.messages[0]["content"]
    for name, value in record.items():
        yield f"{_record_at(example)}/{name}", value if isinstance(value, str) else write_yaml(value)


def _record_at(example: Example) -> str:
    return example.question_at.removesuffix("/concept")


def _message_at(example: Example, index: int) -> str:
    """Of a conversation `/messages/2/content`; of a shape with fields of its own, theirs."""
    roles = [message["role"] for message in example.messages]
    if index == len(roles) - 1:
        return example.answer_at
    if index == roles.index("user"):
        return example.question_at
    conversation = example.answer_at.split("/")
    if len(conversation) != 4:
        return "/system"
    # The system's text may be given beside the conversation: then the places in it are one less.
    place = index - (len(roles) - 1 - int(conversation[2]))
    return "/".join([*conversation[:2], str(place), conversation[3]]) if place >= 0 else "/system"
