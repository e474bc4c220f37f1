"""Reads requirement records: a concept is what the user says, the requirements for it, as YAML, are the answer."""

from __future__ import annotations

from typing import Any

from fragua_dataset.domain.problems import ProblemCode
from fragua_dataset.domain.version_spec import VersionSpec
from fragua_dataset.ingestion.problems import kind_of
from fragua_dataset.ingestion.reading import Checklist, Message, Reading, turns
from fragua_platform.yaml_text import InvalidYaml, read_yaml, write_yaml

TEXTS = ("title", "description")
SECTIONS = ("functional_requirements", "non_functional_requirements", "constraints")
RECORD_FIELDS = ("concept", *TEXTS, *SECTIONS)


def read_requirements(row: dict[str, Any], checklist: Checklist, _spec: VersionSpec) -> Reading:
    """A record without some of its fields still is one: the audit tells how complete all of them are."""
    system = checklist.text(row, "system", required=False)
    checklist.text(row, "concept")
    if checklist.flaws:
        return Reading([], "", "")
    record = {name: row[name] for name in RECORD_FIELDS if name in row}
    remarks = Checklist()
    for name in TEXTS:
        remarks.text(record, name)
    for name in SECTIONS:
        _look_at_section(record, name, remarks)
    for flaw in remarks.flaws:
        if flaw.code is ProblemCode.WRONG_TYPE:
            checklist.flaws.append(flaw)
        else:
            checklist.remarks.append(flaw)
    messages = record_messages(record, system) if not checklist.flaws else []
    return Reading(messages, row["concept"], "", {"record": record}, question_at="/concept")


def record_messages(record: dict[str, Any], system: str = "") -> list[Message]:
    """How a record is learnt. The same record always gives the same text."""
    document = {name: record[name] for name in TEXTS if name in record}
    document |= {name: _as_data(record[name]) for name in SECTIONS if name in record}
    return turns(system, record["concept"], write_yaml(document))


def _look_at_section(record: dict[str, Any], name: str, remarks: Checklist) -> None:
    """Of what is in it only that it is text, a list or an object; the profile's rules say the rest."""
    if isinstance(record.get(name), list | dict):
        if not record[name]:
            remarks.add(f"/{name}", ProblemCode.EMPTY_TEXT, f"{name!r} is empty", "fill it in or delete the row")
    elif name in record and not isinstance(record[name], str):
        message = f"{name!r} is {kind_of(record[name])}, expected YAML text or a list"
        remarks.add(f"/{name}", ProblemCode.WRONG_TYPE, message, "write the items as a YAML list in a string")
    else:
        remarks.text(record, name)


def _as_data(section: Any) -> Any:
    """What YAML text says; text that is none stays text, so that nothing is lost before someone mends it."""
    if not isinstance(section, str):
        return section
    try:
        return read_yaml(section)
    except InvalidYaml:
        return section
