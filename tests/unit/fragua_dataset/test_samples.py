"""What a version says of the samples that it holds of each exercise type."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fragua_dataset.domain.samples import MOST_KEYS, VersionSamples
from tests.unit.fragua_dataset.importing import Import, questions


def row(number: int, **fields: Any) -> dict[str, Any]:
    return {"prompt": f"¿Cuánto es {number} + 1, señora?", "completion": f"Es {number + 1}."} | fields


def lines(*rows: dict[str, Any]) -> bytes:
    return "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in rows).encode()


def samples_of(imported: Import) -> VersionSamples:
    return VersionSamples.model_validate_json((imported.job.outputs / "samples.json").read_bytes())


# R18
def test_samples_are_told_by_the_type_that_each_row_names_and_repeats_count_once(tmp_path: Path) -> None:
    typed = [row(number, type="Abierto" if number < 3 else "opción_múltiple") for number in range(8)]
    named_in_metadata = row(20, metadata={"type": "abierto"})
    content = lines(*typed, typed[0], named_in_metadata, row(30), row(31), row(40, type={"es": "nada"}))
    imported = Import(tmp_path, content)
    report = imported.run()
    found = samples_of(imported).exercise_types
    assert {name: samples.samples for name, samples in found.items()} == {"": 2, "abierto": 4, "opción-múltiple": 5}
    ids = {
        each["id"]
        for name in ("train.jsonl", "validation.jsonl")
        for each in imported.rows(name)
        if each["metadata"].get("type") == "Abierto" or each["metadata"].get("type") == "abierto"
    }
    assert set(found["abierto"].keys or ()) == ids
    assert report.rows == 13


def test_of_many_samples_only_the_number_is_told(tmp_path: Path) -> None:
    imported = Import(tmp_path, questions(MOST_KEYS + 5), profile={"name": "instruct", "near_duplicate_jaccard": 1})
    imported.run()
    [found] = samples_of(imported).exercise_types.values()
    assert (found.samples, found.keys) == (MOST_KEYS + 5, None)


def test_a_version_that_is_not_valid_holds_no_samples(tmp_path: Path) -> None:
    imported = Import(tmp_path, questions(5) + b"{}\n")
    imported.refusal()
    assert not (imported.job.outputs / "samples.json").exists()
