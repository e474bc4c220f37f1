"""An export whose worker dies in every step: NATS gives its message to another one, which goes on from what is finished.

Each worker runs on another machine: all that it shares with the one before are NATS, the database and the artifact store.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fragua_exporter.domain.export_spec import ExportSpec, Quantization
from fragua_platform.jobs.engine import JobDirectory
from tests.e2e.test_conversion_engine import export_here
from tests.e2e.test_conversion_resume import everything
from tests.servers.process import REPOSITORY
from tests.tiny_models import make_tiny_llama
from tests.unit.fragua_exporter.adapters import make_adapter

PAPERS = {"export_info.json", "README.md", "bom.cdx.json", "provenance.intoto.json"}
"""They name the export that they belong to."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_adapter(make_tiny_llama(tmp_path / "base", seed=5), tmp_path / "adapter")
    return tmp_path


def run_worker(folder: Path, nats_url: str, machine: str, phase: str = "") -> tuple[int, list[dict[str, Any]]]:
    finished = subprocess.run(
        [sys.executable, "-m", "tests.export_worker", str(folder), nats_url, machine, "killed", *filter(None, [phase])],
        cwd=REPOSITORY,
        env=os.environ | {"FRAGUA_ENGINE_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    return finished.returncode, [json.loads(line) for line in finished.stdout.splitlines() if line.startswith("{")]


def digests(export: dict[str, Any]) -> dict[str, str]:
    """By the names of the files, wherever half a publication stood in their way."""
    prefix = export["bundle"]["prefix"]
    names = {re.sub(rf"^{prefix}/(retry-\w+/)?", "", file["key"]): file["sha256"] for file in export["bundle"]["files"]}
    return {name: digest for name, digest in names.items() if name not in PAPERS}


def export_in_one_go(folder: Path) -> JobDirectory:
    """What the worker orders, by the engine alone."""
    job = JobDirectory(folder / "in-one-go")
    job.inputs.mkdir(parents=True)
    for name, place in (("base", "base"), ("adapter", "adapter"), ("dataset", "importance")):
        (job.inputs / place).symlink_to(folder / name)
    spec = ExportSpec(
        model_name="tutor-3",
        quantizations=(Quantization.Q8_0, Quantization.Q6_K),
        merged_model=True,
        adapter_gguf=True,
        importance=True,
        probe_prompt="¿Qué comió el niño?",
    )
    (job.root / "spec.json").write_text(spec.model_dump_json(), "utf-8")
    export_here(job)
    return job


@pytest.mark.timeout(900)  # Seven engines one after the other, each of which imports its libraries.
def test_a_redelivered_export_goes_on_with_every_step_that_was_finished(folder: Path, nats_url: str) -> None:
    merged, converted, quantized = {"merged", "tutor-3-adapter.gguf"}, {"tutor-3-q8_0.gguf"}, {"tutor-3-q6_k.gguf"}
    on_the_way = {"intermediate-f16.gguf", "importance.safetensors"}
    proven = merged | converted | quantized | {"intermediate-f16.gguf"}
    went_on_with = {}
    for phase in ("merging", "converting", "quantizing", "verifying", "signing", "publishing"):
        status, records = run_worker(folder, nats_url, f"machine-that-dies-{phase}", phase)
        assert status == -signal.SIGKILL, records
        (went_on,) = (set(record["goes_on_with"]) - {""} for record in records if "goes_on_with" in record)
        went_on_with[phase] = went_on
    status, records = run_worker(folder, nats_url, "the-last-machine")
    assert status == 0
    killed = records[-1]["export"]
    unbroken = export_in_one_go(folder)

    assert went_on_with["merging"] == went_on_with["converting"] == set()
    assert merged == went_on_with["quantizing"]
    assert went_on_with["verifying"] == merged | converted | {"intermediate-f16.gguf"}
    assert went_on_with["signing"] == merged | converted | quantized | on_the_way
    proofs = {f"the proof of {name}" for name in proven}
    assert went_on_with["publishing"] == merged | converted | quantized | on_the_way | proofs
    assert killed["status"]["attempt"] == 7
    assert set(killed["reused"]) == went_on_with["publishing"]
    assert digests(killed) == {name: each for name, each in everything(unbroken.outputs).items() if name not in PAPERS}
    assert list((folder / "artifacts/checkpoints").rglob("*.gguf")) == []
