"""Writes the ids of a requirement record with three digits: `FR01` becomes `FR001`, wherever the record names it."""

from __future__ import annotations

import re
from typing import Any

from fragua_dataset.ingestion.checks.records import item_id
from fragua_dataset.ingestion.fixers.parts import Parts, is_of_record
from fragua_dataset.ingestion.fixers.texts import in_all_texts

_SHORT_ID = re.compile(r"(?<!\w)(NFR|FR|C)([0-9]{2})(?!\w)")
_ID_OF_ITEM = re.compile(
    r"""(?: ^[ \t]*(?:-[ \t]+)? | [{,\[][ \t]* )     # where an item of YAML begins, or a field of it
        (?: ["']?id["']?[ \t]*:[ \t]* )?
        ["']?((?:NFR|FR|C)[0-9]{2,3})["']?
        (?= [ \t]*(?:[:,.)}\]]|$) )""",
    re.MULTILINE | re.VERBOSE,
)
"""Of text that need not be YAML already: ids are padded before somebody mends the rest."""


def with_padded_ids(parts: Parts) -> Parts:
    """Only what names an item of the record is an id; `C99` in a text may be a language, and stays."""
    ids = {found for pointer, value in parts.items() if is_of_record(pointer) for found in _ids_of_items(value)}

    def pad(match: re.Match[str]) -> str:
        padded = f"{match[1]}0{match[2]}"
        return padded if match.group() in ids or padded in ids else match.group()

    return {
        pointer: in_all_texts(value, lambda text: _SHORT_ID.sub(pad, text)) if is_of_record(pointer) else value
        for pointer, value in parts.items()
    }


def _ids_of_items(section: Any) -> list[str]:
    if isinstance(section, str):
        return [match[1] for match in _ID_OF_ITEM.finditer(section)]
    if isinstance(section, dict):
        return list(section)
    return [found for item in section if (found := item_id(item))] if isinstance(section, list) else []
