"""The papers of an export, from what was measured and pinned alone; the same export gives the same bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fragua_exporter.conversion.documents.bill_of_materials import bill_of_materials
from fragua_exporter.conversion.documents.facts import ExportFacts, PublishedFile, read_facts
from fragua_exporter.conversion.documents.model_card import model_card
from fragua_exporter.conversion.documents.provenance import provenance_statement

__all__ = ["CARD", "MATERIALS", "PROVENANCE", "ExportFacts", "PublishedFile", "read_facts", "write_documents"]

CARD = "README.md"
MATERIALS = "bom.cdx.json"
PROVENANCE = "provenance.intoto.json"


def write_documents(folder: Path, facts: ExportFacts) -> list[Path]:
    """Write card, bill of materials and, over these and all other files, the provenance statement."""
    card, materials, provenance = (folder / name for name in (CARD, MATERIALS, PROVENANCE))
    card.write_text(model_card(facts), "utf-8")
    _write_json(materials, bill_of_materials(facts))
    facts = facts.with_files(PublishedFile.of(card), PublishedFile.of(materials))
    _write_json(provenance, provenance_statement(facts))
    return [card, materials, provenance]


def _write_json(file: Path, document: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", "utf-8")
