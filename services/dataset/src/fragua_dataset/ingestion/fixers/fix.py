"""Applies fixers to a row: each is pure and changes nothing in its own result."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from fragua_dataset.domain.version_spec import Fixer
from fragua_dataset.ingestion.canonical import Row
from fragua_dataset.ingestion.fixers.pad_ids import with_padded_ids
from fragua_dataset.ingestion.fixers.parts import Parts, is_of_record, is_section, parts_of, row_of
from fragua_dataset.ingestion.fixers.texts import in_all_texts, trimmed, trimmed_block
from fragua_dataset.ingestion.mojibake import repaired
from fragua_platform.yaml_text import write_yaml


@dataclass(frozen=True)
class Change:
    """What one fixer did to one field."""

    pointer: str
    """Of the field in the row, in our own shape; of a question with choices, `before` and `after` are without them."""
    fixer: Fixer
    before: Any
    after: Any


def fix_row(row: Row, fixers: Collection[Fixer]) -> tuple[Row, list[Change]]:
    """The row as it should be, with a new id when its messages changed, and what was changed.

    `drop-duplicates` judges rows beside each other; it is not done here.
    """
    parts = parts_of(row)
    changes: list[Change] = []
    for fixer in Fixer:
        if fixer not in fixers or fixer not in _FIXERS:
            continue
        fixed = _FIXERS[fixer](parts)
        changes += [
            Change(pointer, fixer, before, fixed[pointer])
            for pointer, before in parts.items()
            if fixed[pointer] != before
        ]
        parts = fixed
    return (row_of(row, parts), changes) if changes else (row, [])


def _with_yaml_strings(parts: Parts) -> Parts:
    return {
        pointer: write_yaml(value) if is_of_record(pointer) and isinstance(value, list | dict) else value
        for pointer, value in parts.items()
    }


def _with_repaired_text(parts: Parts) -> Parts:
    return {pointer: in_all_texts(value, repaired) for pointer, value in parts.items()}


def _trimmed(parts: Parts) -> Parts:
    return {
        pointer: trimmed_block(value)
        if is_section(pointer) and isinstance(value, str)
        else in_all_texts(value, trimmed)
        for pointer, value in parts.items()
    }


_FIXERS: dict[Fixer, Callable[[Parts], Parts]] = {
    Fixer.REPAIR_MOJIBAKE: _with_repaired_text,
    Fixer.YAML_STRINGS: _with_yaml_strings,
    Fixer.TRIM: _trimmed,
    Fixer.PAD_IDS: with_padded_ids,
}
