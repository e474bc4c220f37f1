"""Exports that are killed, run out of disk or get damaged inputs: nothing half-made is seen, nothing whole is made twice."""

from __future__ import annotations

import dataclasses
import io
import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from fragua_exporter.conversion.export import prove
from fragua_exporter.conversion.preflight import check_inputs
from fragua_exporter.conversion.products import convert_and_quantize
from fragua_exporter.conversion.steps import Steps, digest_of
from fragua_platform.errors import InternalError, InvalidData, LimitExceeded
from fragua_platform.jobs.engine import JobDirectory, Reporter
from tests.e2e.test_conversion_engine import export_here, export_info, make_job

ANYTHING = {"mean_kl": 100.0, "max_kl": 100.0}
"""Few bits are too few for random weights, which are far more sensitive than trained ones."""

SPEC: dict[str, Any] = {
    "quantizations": ["q8_0", "q4_k_m", "q6_k"],
    "merged_model": True,
    "adapter_gguf": True,
    "importance": True,
    "probe_max_tokens": 4,
    "limits": {"q4_k_m": ANYTHING, "q6_k": ANYTHING},
}


def make_full_job(directory: Path) -> JobDirectory:
    job = make_job(directory, spec=SPEC)
    rows = [
        {"role": "user", "content": "¿Qué comió el niño?"},
        {"role": "assistant", "content": "Piña."},
    ]
    (job.inputs / "importance").mkdir()
    (job.inputs / "importance/train.jsonl").write_text(json.dumps({"messages": rows}) + "\n", "utf-8")
    return job


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> JobDirectory:
    """An export that nothing happened to."""
    job = make_full_job(tmp_path_factory.mktemp("job"))
    export_here(job)
    return job


@pytest.fixture
def fresh_job(exported: JobDirectory, tmp_path: Path) -> JobDirectory:
    shutil.copytree(exported.inputs, tmp_path / "inputs")
    shutil.copy(exported.root / "spec.json", tmp_path)
    return JobDirectory(tmp_path)


def everything(directory: Path) -> dict[str, str]:
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {path.relative_to(directory).as_posix(): digest_of(path) for path in files}


def published(job: JobDirectory) -> dict[str, str]:
    """The files themselves, without the papers that describe them."""
    papers = ("export_info.json", "README.md", "bom.cdx.json", "provenance.intoto.json")
    return {name: digest for name, digest in everything(job.outputs).items() if name not in papers}


def test_the_description_tells_of_every_file_with_its_digest(exported: JobDirectory) -> None:
    info = export_info(exported)
    described = [*info["files"], info["modelfile"], info["adapter_gguf"], *info["merged_model"]]
    assert {entry["file"]: entry["sha256"] for entry in described} == published(exported)
    assert not (exported.root / "unproven").exists()
    proven = [*info["files"], info["adapter_gguf"]]
    assert [entry["verification"]["tokens"]["differing_texts"] for entry in proven] == [[]] * 4
    assert info["adapter_gguf"]["verification"]["logits"]["max_kl"] < 1e-2
    (merged,) = (entry for entry in info["merged_model"] if "verification" in entry)
    assert merged["verification"]["logits"]["max_kl"] < 1e-7


def test_what_does_not_fit_the_blocks_is_on_record(exported: JobDirectory) -> None:
    fallbacks = {file["quantization"]: file["fallback_tensors"] for file in export_info(exported)["files"]}
    assert fallbacks["q8_0"] == {}
    assert len(fallbacks["q4_k_m"]) == len(fallbacks["q6_k"]) == 15
    assert set(fallbacks["q6_k"].values()) == {"q8_0"}
    assert fallbacks["q4_k_m"]["blk.0.attn_q.weight"] == "q5_0"


def kill_in(job: JobDirectory, phase: str) -> list[str]:
    """Run the engine and kill -9 it when it enters the phase; returns the phases that it went through."""
    command = [sys.executable, "-m", "fragua_exporter.conversion", str(job.root)]
    phases = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as engine:
        assert engine.stdout is not None
        for line in engine.stdout:
            phases.append(json.loads(line)["phase"])
            if phases[-1] == phase:
                engine.kill()
                break
    return list(dict.fromkeys(phases))


# `test_export_redelivery.py` kills in every phase, and goes on elsewhere.
def test_killed_it_goes_on_with_what_was_finished_in_its_own_directory(
    exported: JobDirectory, fresh_job: JobDirectory
) -> None:
    assert kill_in(fresh_job, "verifying") == ["preflight", "merging", "converting", "quantizing", "verifying"]
    assert everything(fresh_job.outputs) == {}
    export_here(fresh_job)
    assert published(fresh_job) == published(exported)
    reused = json.loads((fresh_job.root / "reused.json").read_text("utf-8"))
    assert {"merged", "tutor-adapter.gguf", "tutor-q8_0.gguf", "tutor-q4_k_m.gguf", "tutor-q6_k.gguf"} <= set(reused)


def test_what_the_low_formats_were_made_from_is_proven_though_it_is_gone(
    exported: JobDirectory, fresh_job: JobDirectory
) -> None:
    shutil.copytree(exported.outputs, fresh_job.outputs)
    journal = json.loads((exported.root / "steps.json").read_text("utf-8"))
    forgotten = journal["remembered"].pop("intermediate-f16.gguf")
    (fresh_job.root / "steps.json").write_text(json.dumps(journal), "utf-8")
    export_here(fresh_job)
    journal = json.loads((fresh_job.root / "steps.json").read_text("utf-8"))
    assert journal["remembered"]["intermediate-f16.gguf"] == forgotten
    assert forgotten["facts"]["verification"]["logits"]["max_kl"] < 1e-2


def test_a_finished_export_is_only_looked_at(exported: JobDirectory) -> None:
    before = published(exported)
    written = {path: path.stat().st_mtime_ns for path in exported.outputs.rglob("*.gguf")}
    export_here(exported)
    assert published(exported) == before
    assert {path: path.stat().st_mtime_ns for path in exported.outputs.rglob("*.gguf")} == written


@pytest.mark.parametrize("change", ["a byte of a finished file", "another spec", "another adapter"])
def test_what_is_no_longer_true_is_made_again(exported: JobDirectory, fresh_job: JobDirectory, change: str) -> None:
    shutil.copytree(exported.outputs, fresh_job.outputs)
    shutil.copy(exported.root / "steps.json", fresh_job.root)
    file = fresh_job.outputs / "tutor-q8_0.gguf"
    match change:
        case "a byte of a finished file":
            content = bytearray(file.read_bytes())
            content[-100] ^= 1
            file.write_bytes(content)
        case "another spec":
            spec = json.loads((fresh_job.root / "spec.json").read_text("utf-8"))
            (fresh_job.root / "spec.json").write_text(json.dumps(spec | {"system_prompt": "Sé breve."}), "utf-8")
        case "another adapter":
            weights = fresh_job.inputs / "adapter/adapter_model.safetensors"
            save_file({name: tensor * 0.5 for name, tensor in load_file(weights).items()}, weights)
    export_here(fresh_job)
    same = {name for name, digest in published(fresh_job).items() if digest == published(exported)[name]}
    match change:
        case "a byte of a finished file":
            assert same == set(published(exported))
        case "another spec":
            assert set(published(exported)) - same == {"Modelfile"}
        case "another adapter":
            assert "tutor-q8_0.gguf" not in same


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, former[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)


@pytest.mark.parametrize("file", ["merged/model.safetensors", "tutor-q8_0.gguf", "tutor-q4_k_m.gguf"])
def test_a_disk_that_is_full_at_90_percent_of_a_file_is_named_and_can_be_cured(
    exported: JobDirectory, fresh_job: JobDirectory, file: str
) -> None:
    # What is made before this file is there already.
    shutil.copytree(exported.outputs, fresh_job.outputs)
    shutil.copy(exported.root / "steps.json", fresh_job.root)
    (fresh_job.outputs / file).unlink()
    limit = int((exported.outputs / file).stat().st_size * 0.9)
    with files_of_at_most(limit), pytest.raises(LimitExceeded) as failed:
        export_here(fresh_job)
    assert failed.value.reason == "DISK_FULL"
    assert everything(fresh_job.outputs) == {}
    export_here(fresh_job)
    assert published(fresh_job) == published(exported)


def test_a_disk_that_is_too_small_is_known_before_anything_is_written(
    fresh_job: JobDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage(fresh_job.root)._replace(free=400_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    with pytest.raises(LimitExceeded, match=r"the job's disk has 0\.00 GB free"):
        export_here(fresh_job)
    assert everything(fresh_job.root / "unproven") == everything(fresh_job.outputs) == {}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_base_that_is_no_model_is_refused_by_the_tensors_name(fresh_job: JobDirectory, value: float) -> None:
    weights = fresh_job.inputs / "base/model.safetensors"
    tensors = load_file(weights)
    tensors["model.layers.1.mlp.down_proj.weight"][5, 5] = torch.tensor(value)
    save_file(tensors, weights)
    for form in ({"merged_model": True}, {"merged_model": False}):
        spec = json.loads((fresh_job.root / "spec.json").read_text("utf-8"))
        (fresh_job.root / "spec.json").write_text(json.dumps(spec | form), "utf-8")
        with pytest.raises(InvalidData, match=r"model\.layers\.1\.mlp\.down_proj\.weight holds NaN or infinity"):
            export_here(fresh_job)
        assert everything(fresh_job.outputs) == {}


def test_a_fault_of_the_conversion_cannot_hide_in_the_loss_of_few_bits(fresh_job: JobDirectory) -> None:
    spec = json.loads((fresh_job.root / "spec.json").read_text("utf-8"))
    few_bits = {"quantizations": ["q4_k_m"], "merged_model": False, "adapter_gguf": False, "importance": False}
    (fresh_job.root / "spec.json").write_text(json.dumps(spec | few_bits), "utf-8")
    preflight = check_inputs(fresh_job)
    forgotten = dataclasses.replace(preflight, adapter=dataclasses.replace(preflight.adapter, updates={}))
    reporter = Reporter(io.StringIO())
    (fresh_job.root / "unproven").mkdir()
    steps = Steps.resume(fresh_job.root / "steps.json", fresh_job.root / "unproven", inputs="")
    convert_and_quantize(fresh_job, forgotten, steps, reporter)
    with pytest.raises(InternalError) as failed:
        prove(fresh_job, preflight, steps, reporter)
    assert [violation.field for violation in failed.value.violations] == ["intermediate-f16.gguf: logits"]
