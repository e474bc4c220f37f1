"""Takes a row apart into what its author wrote, and makes the row anew from it.

The messages of a question with choices, and those of a requirement record, follow from its fields: fixers change the
fields, so that a choice and its mention, or a record and its text, never differ.
"""

from __future__ import annotations

from string import ascii_uppercase
from typing import Any

from fragua_dataset.ingestion.canonical import FACTS, Row, canonical_row
from fragua_dataset.ingestion.reading import Message, turns
from fragua_dataset.ingestion.requirements import SECTIONS, record_messages

Parts = dict[str, Any]
"""By JSON pointer into the row: texts, and the sections of a record that are JSON."""

_RECORD = "/record/"


def is_of_record(pointer: str) -> bool:
    return pointer.startswith(_RECORD)


def is_section(pointer: str) -> bool:
    """Where text is YAML."""
    return is_of_record(pointer) and pointer.removeprefix(_RECORD) in SECTIONS


def parts_of(row: Row) -> Parts:
    messages: list[Message] = row["messages"]
    system = {"/messages/0/content": messages[0]["content"]} if messages[0]["role"] == "system" else {}
    if "record" in row:
        return system | {f"{_RECORD}{name}": value for name, value in row["record"].items()}
    if "choices" in row:
        listed = "\n".join(_lettered(row["choices"]))
        question = messages[len(system)]["content"].removesuffix(f"\n\n{listed}")
        choices = {f"/choices/{place}": choice for place, choice in enumerate(row["choices"])}
        return system | {f"/messages/{len(system)}/content": question} | choices
    return {f"/messages/{place}/content": message["content"] for place, message in enumerate(messages)}


def row_of(row: Row, parts: Parts) -> Row:
    """The row with other parts; it remembers the id that its line of versions began with."""
    facts = {name: row[name] for name in FACTS if name in row}
    has_system = row["messages"][0]["role"] == "system"
    system = parts["/messages/0/content"] if has_system else ""
    if "record" in facts:
        facts["record"] = {name: parts[f"{_RECORD}{name}"] for name in facts["record"]}
        messages = record_messages(facts["record"], system)
    elif "choices" in facts:
        facts["choices"] = [parts[f"/choices/{place}"] for place in range(len(facts["choices"]))]
        listed = _lettered(facts["choices"])
        question = "\n".join([parts[f"/messages/{int(has_system)}/content"] + "\n", *listed])
        messages = turns(system, question, listed[facts["answer"]])
    else:
        messages = [
            {"role": message["role"], "content": parts[f"/messages/{place}/content"]}
            for place, message in enumerate(row["messages"])
        ]
    return canonical_row(messages, facts, row["metadata"], row.get("origin") or row["id"])


def _lettered(choices: list[str]) -> list[str]:
    return [f"{letter}) {choice}" for letter, choice in zip(ascii_uppercase, choices, strict=False)]
