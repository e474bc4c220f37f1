"""Everything that one export can make, twice in two places: the same bytes, and papers that tell the truth about them."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fragua_exporter.conversion.export import export
from fragua_platform.errors import InvalidData
from fragua_platform.jobs.engine import JobDirectory, Reporter
from tests.tiny_models import make_tiny_llama
from tests.unit.fragua_exporter.adapters import make_adapter
from tests.unit.fragua_exporter.test_documents import TRAINING

SPEC: dict[str, Any] = {
    "model_name": "tutor-3",
    "quantizations": ["q4_k_m", "f16"],
    "merged_model": True,
    "adapter_gguf": True,
    "probe_prompt": "¿Qué hace la cigüeña?",
    "probe_max_tokens": 12,
    "license": "Apache-2.0",
    "task_rows": 3,
    # Random weights say nothing that a few bits could keep.
    "limits": {"q4_k_m": {"mean_kl": 20.0, "max_kl": 60.0}},
}
HISTORY = {
    "export": "branches/tutor/exports/x1",
    "ingredients": [
        {"role": "base model", "name": "baseModels/tiny/revisions/aa", "manifest_sha256": "e" * 64},
        {"role": "adapter", "name": "branches/tutor/adapters/3", "manifest_sha256": "f" * 64},
    ],
    "scores": [
        {
            "evaluation": "branches/tutor/evaluations/e1",
            "metric": "token_f1",
            "base_score": 0.25,
            "tuned_score": 0.75,
            "item_count": 22,
        }
    ],
}


def rows() -> Iterator[str]:
    for number in range(5):
        question = {"role": "user", "content": f"¿Qué hace la cigüeña número {number}?"}
        answer = {"role": "assistant", "content": f"Anida en la torre {number} hasta el otoño."}
        yield json.dumps({"id": f"r{number}", "messages": [question, answer]}) + "\n"


def make_job(folder: Path) -> JobDirectory:
    job = JobDirectory(folder)
    base = make_tiny_llama(job.inputs / "base", seed=5, strong=True)
    adapter = make_adapter(base, job.inputs / "adapter")
    (adapter / "training_info.json").write_text(json.dumps(TRAINING), "utf-8")
    (job.inputs / "history.json").write_text(json.dumps(HISTORY), "utf-8")
    (job.inputs / "task").mkdir()
    (job.inputs / "task" / "validation.jsonl").write_text("".join(rows()), "utf-8")
    (folder / "spec.json").write_text(json.dumps(SPEC), "utf-8")
    return job


def run(job: JobDirectory) -> list[str]:
    """The phases, in order."""
    records = io.StringIO()
    export(job, Reporter(records))
    return list(dict.fromkeys(json.loads(line)["phase"] for line in records.getvalue().splitlines()))


def contents(job: JobDirectory) -> dict[str, bytes]:
    files = (path for path in job.outputs.rglob("*") if path.is_file())
    return {path.relative_to(job.outputs).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[JobDirectory, list[str]]:
    job = make_job(tmp_path_factory.mktemp("job"))
    return job, run(job)


def test_every_step_is_told_in_its_turn(exported: tuple[JobDirectory, list[str]]) -> None:
    assert exported[1] == ["preflight", "merging", "converting", "quantizing", "verifying", "signing"]


def test_the_same_inputs_give_the_same_bytes(exported: tuple[JobDirectory, list[str]], tmp_path: Path) -> None:
    again = make_job(tmp_path)
    run(again)
    first, second = contents(exported[0]), contents(again)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


def test_the_adapter_alone_answers_as_the_merged_model_does(exported: tuple[JobDirectory, list[str]]) -> None:
    info = json.loads(contents(exported[0])["export_info.json"])
    task = info["adapter_gguf"]["verification"]["task"]
    assert (task["rows"], task["token_f1_delta"], task["exact_match_delta"]) == (3, 0.0, 0.0)
    assert info["adapter_gguf"]["verification"]["logits"]["max_kl"] < 1e-2


# R157
def test_the_statement_covers_every_file_but_itself(exported: tuple[JobDirectory, list[str]]) -> None:
    files = contents(exported[0])
    statement = json.loads(files.pop("provenance.intoto.json"))
    assert {each["name"]: each["digest"]["sha256"] for each in statement["subject"]} == {
        name: hashlib.sha256(content).hexdigest() for name, content in files.items()
    }
    assert {"tutor-3-q4_k_m.gguf", "tutor-3-f16.gguf", "tutor-3-adapter.gguf", "Modelfile"} < files.keys()
    assert {"merged/config.json", "merged/model.safetensors"} < files.keys()


def test_the_card_holds_the_numbers_that_were_measured(exported: tuple[JobDirectory, list[str]]) -> None:
    files = contents(exported[0])
    card, info = files["README.md"].decode(), json.loads(files["export_info.json"])
    for entry in info["files"]:
        logits = entry["verification"]["logits"]
        assert f"{logits['mean_kl']:.2g} | {logits['max_kl']:.2g} | {logits['top1_agreement']:.1%} |" in card
    assert "matrices are stored in another type" in card, "rows of 64 fill no blocks of 256"
    assert "| `branches/tutor/evaluations/e1` | token_f1 | 22 | 0.2500 | 0.7500 |" in card
    assert "--lora tutor-3-adapter.gguf" in card and 'from_pretrained("merged")' in card


def test_a_record_of_training_that_is_not_ours_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    (job.inputs / "adapter" / "training_info.json").write_text("[]", "utf-8")
    with pytest.raises(InvalidData, match=r"training_info\.json"):
        run(job)
    assert contents(job) == {}
    assert list((tmp_path / "unproven").iterdir()) == []
