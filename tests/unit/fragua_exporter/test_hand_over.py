"""What an attempt hands over to the next one: everything that was measured, and the files that are worth their way."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from fragua_exporter.conversion.hand_over import HandOver, carried_bytes, take_over, worth_their_way
from fragua_exporter.conversion.steps import Effort, FinishedFile, Steps
from fragua_platform.errors import InvalidInput
from fragua_platform.jobs.engine import JobDirectory, Reporter

PROOF = {"logits": {"mean_kl": 1e-5}}


def finished(size: int, effort: Effort = Effort.COPYING) -> FinishedFile:
    return FinishedFile(bytes=size, sha256="", effort=effort)


def start(root: Path, records: io.StringIO, limit: int = 1000, inputs: str = "i") -> Steps:
    """An attempt on a machine of its own."""
    job = JobDirectory(root)
    for folder in (job.inputs, job.checkpoints, root / "unproven"):
        folder.mkdir(parents=True, exist_ok=True)
    take_over(job, root / "steps.json", root / "unproven")
    return Steps.resume(root / "steps.json", root / "unproven", inputs, HandOver(job, Reporter(records), limit))


def write(steps: Steps, name: str, size: int = 10, content: bytes = b"x") -> Path:
    file = steps.directory / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content * size)
    return file


def carry(former: Path, records: io.StringIO, to: Path) -> None:
    """A worker's part: the latest checkpoint becomes an input of the next attempt."""
    *_, last = (json.loads(line) for line in records.getvalue().splitlines())
    (to / "inputs").mkdir(parents=True)
    (former / last["directory"]).rename(to / "inputs/checkpoint")


def steps_told(records: io.StringIO) -> list[int]:
    return [json.loads(line)["step"] for line in records.getvalue().splitlines()]


def test_what_took_most_goes_first_and_the_limit_is_kept() -> None:
    files = {
        "m-f16.gguf": finished(600),
        "m-q4_k_m.gguf": finished(300, Effort.COMPUTING),
        "importance.safetensors": finished(50, Effort.COMPUTING),
        "merged/model.safetensors": finished(300),
        "merged/config.json": finished(10),
        "base-f16.gguf": finished(1, Effort.NONE),
    }
    assert worth_their_way(files, 2000) == sorted(files.keys() - {"base-f16.gguf"})
    # The folder is whole or not there, and what does not fit leaves its room to others.
    assert worth_their_way(files, 655) == ["importance.safetensors", "m-q4_k_m.gguf"]
    assert worth_their_way(files, 670) == [
        "importance.safetensors",
        "m-q4_k_m.gguf",
        "merged/config.json",
        "merged/model.safetensors",
    ]
    assert worth_their_way(files, 0) == []


def test_another_machine_goes_on_with_files_and_proofs(tmp_path: Path) -> None:
    records = io.StringIO()
    steps = start(tmp_path / "a", records)
    file = write(steps, "m-f16.gguf")
    steps.finish(file, fallback_tensors={})
    steps.learn(file, verification=PROOF)
    steps.reach_milestone()
    carry(tmp_path / "a", records, tmp_path / "b")
    steps = start(tmp_path / "b", io.StringIO())
    found = steps.find(steps.directory / "m-f16.gguf")
    assert found is not None
    assert found.facts == {"fallback_tensors": {}, "verification": PROOF}
    assert steps.reused == ["m-f16.gguf", "the proof of m-f16.gguf"]
    # The next number is above those of the former machine: it is the one that a third would fetch.
    later = io.StringIO()
    steps = start(tmp_path / "b", later)
    steps.reach_milestone()
    assert steps_told(later) == [2]


@pytest.mark.parametrize(("content", "proven"), [(b"x", True), (b"y", False)])
def test_a_file_too_large_to_carry_is_made_again_and_as_proven_as_its_bytes_are_the_same(
    content: bytes, proven: bool, tmp_path: Path
) -> None:
    records = io.StringIO()
    steps = start(tmp_path / "a", records, limit=5)
    file = write(steps, "m-f16.gguf")
    steps.finish(file)
    steps.learn(file, verification=PROOF)
    steps.reach_milestone()
    carry(tmp_path / "a", records, tmp_path / "b")
    assert [path.name for path in (tmp_path / "b/inputs/checkpoint").iterdir()] == ["steps.json"]

    steps = start(tmp_path / "b", io.StringIO())
    assert steps.find(steps.directory / "m-f16.gguf") is None
    entry = steps.finish(write(steps, "m-f16.gguf", content=content))
    assert ("verification" in entry.facts) is proven
    assert steps.reused == (["the proof of m-f16.gguf"] if proven else [])


def test_what_is_removed_stays_known(tmp_path: Path) -> None:
    steps = start(tmp_path, io.StringIO())
    file = write(steps, "intermediate-f16.gguf")
    steps.finish(file)
    steps.learn(file, verification=PROOF)
    steps.remove(file)
    again = start(tmp_path, io.StringIO())
    assert again.find(file) is None
    recalled = again.recall(file)
    assert recalled is not None
    assert recalled.facts == {"verification": PROOF}


@pytest.mark.parametrize("damage", ["other inputs", "a changed byte", "no journal", "a journal that is none"])
def test_what_does_not_fit_is_not_taken(damage: str, tmp_path: Path) -> None:
    records = io.StringIO()
    steps = start(tmp_path / "a", records)
    file = write(steps, "m-f16.gguf")
    steps.finish(file)
    steps.reach_milestone()
    carry(tmp_path / "a", records, tmp_path / "b")
    checkpoint = tmp_path / "b/inputs/checkpoint"
    match damage:
        case "a changed byte":
            (checkpoint / "files/m-f16.gguf").unlink()  # It is one with the former machine's.
            (checkpoint / "files/m-f16.gguf").write_bytes(b"xxxxxxxxxy")
        case "no journal":
            (checkpoint / "steps.json").unlink()
        case "a journal that is none":
            (checkpoint / "steps.json").write_text("{")
    steps = start(tmp_path / "b", io.StringIO(), inputs="others" if damage == "other inputs" else "i")
    assert steps.reused == []
    assert list((tmp_path / "b/unproven").iterdir()) == []


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"FRAGUA_ENGINE_CHECKPOINT_MIB": "5"}, None),
        ({"FRAGUA_ENGINE_LIFELINE": "1"}, 2 << 30),
        ({"FRAGUA_ENGINE_LIFELINE": "1", "FRAGUA_ENGINE_CHECKPOINT_MIB": "5"}, 5 << 20),
        ({"FRAGUA_ENGINE_LIFELINE": "1", "FRAGUA_ENGINE_CHECKPOINT_MIB": "0"}, 0),
    ],
)
def test_only_a_worker_takes_anything_further(environment: dict[str, str], expected: Any) -> None:
    assert carried_bytes(environment) == expected


def test_a_limit_that_is_no_number_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"FRAGUA_ENGINE_CHECKPOINT_MIB is 'viel', expected a number of MiB"):
        carried_bytes({"FRAGUA_ENGINE_LIFELINE": "1", "FRAGUA_ENGINE_CHECKPOINT_MIB": "viel"})
