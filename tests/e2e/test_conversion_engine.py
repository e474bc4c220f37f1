"""The conversion engine as the worker and a person run it: a child process on a job directory, real GGUF files out."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import gguf
import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from fragua_exporter.conversion import export as engine
from fragua_exporter.conversion.architectures.plan import as_stored
from fragua_exporter.conversion.preflight import Preflight, check_inputs
from fragua_exporter.conversion.products import convert
from fragua_exporter.conversion.vocabulary import PRE_TOKENIZERS
from fragua_exporter.domain.export_spec import Quantization
from fragua_platform.errors import FailureClass, InternalError
from fragua_platform.jobs.engine import EXIT_INTERRUPTED, JobDirectory, Reporter
from tests.tiny_models import make_tiny_llama, make_tiny_tokenizer
from tests.unit.fragua_exporter.adapters import make_adapter

SPEC: dict[str, Any] = {
    "model_name": "tutor",
    "quantizations": ["q8_0", "f32", "f16", "bf16"],
    "system_prompt": 'Eres un "tutor".',
    "probe_prompt": "¿Cuál es la capital de España?",
    "probe_max_tokens": 24,
    "provenance": {"adapter": "branches/tutor/adapters/1"},
}


def make_job(directory: Path, seed: int = 5, spec: dict[str, Any] | None = None) -> JobDirectory:
    job = JobDirectory(directory)
    make_adapter(make_tiny_llama(job.inputs / "base", seed, strong=True), job.inputs / "adapter")
    (directory / "spec.json").write_text(json.dumps(SPEC | (spec or {})), "utf-8")
    job.outputs.mkdir()
    return job


def run_engine(job: JobDirectory) -> tuple[int, list[dict[str, Any]]]:
    finished = subprocess.run(
        [sys.executable, "-m", "fragua_exporter.conversion", str(job.root)], capture_output=True, text=True, timeout=200
    )
    return finished.returncode, [json.loads(line) for line in finished.stdout.splitlines()]


def export_here(job: JobDirectory) -> None:
    """The same engine without the seconds that a new process takes to import its libraries."""
    engine.export(job, Reporter(io.StringIO()))


def contents(directory: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[JobDirectory, list[dict[str, Any]]]:
    job = make_job(tmp_path_factory.mktemp("job"))
    status, records = run_engine(job)
    assert status == 0, records[-1]
    return job, records


@pytest.fixture
def fresh_job(exported: tuple[JobDirectory, list[dict[str, Any]]], tmp_path: Path) -> JobDirectory:
    """The same inputs, nothing written yet."""
    shutil.copytree(exported[0].inputs, tmp_path / "inputs")
    shutil.copy(exported[0].root / "spec.json", tmp_path)
    (tmp_path / "outputs").mkdir()
    return JobDirectory(tmp_path)


def export_info(job: JobDirectory) -> dict[str, Any]:
    info: dict[str, Any] = json.loads((job.outputs / "export_info.json").read_text("utf-8"))
    return info


def test_an_export_reports_its_phases_and_leaves_described_files(
    exported: tuple[JobDirectory, list[dict[str, Any]]],
) -> None:
    job, records = exported
    phases = list(dict.fromkeys(record["phase"] for record in records))
    assert phases == ["preflight", "converting", "verifying", "signing"]
    files = contents(job.outputs)
    info = export_info(job)
    papers = {"export_info.json", "README.md", "bom.cdx.json", "provenance.intoto.json"}
    assert {file["file"]: file["sha256"] for file in [*info["files"], info["modelfile"]]} == {
        name: digest for name, digest in files.items() if name not in papers
    }
    assert papers < files.keys()
    assert info["provenance"] == SPEC["provenance"]
    modelfile = (job.outputs / "Modelfile").read_text("utf-8")
    assert modelfile.startswith("FROM ./tutor-q8_0.gguf\n")
    assert "PARAMETER num_ctx 512\n" in modelfile


def test_every_file_is_the_trained_model(exported: tuple[JobDirectory, list[dict[str, Any]]]) -> None:
    checks = {file["quantization"]: file["verification"] for file in export_info(exported[0])["files"]}
    assert set(checks) == {"q8_0", "f32", "f16", "bf16"}
    for check in checks.values():
        assert check["tokens"]["tokens"] > 400
        assert check["tokens"]["differing_texts"] == []
        assert check["answer"]["ended_by"] in ("end_of_turn", "limit")
    assert checks["f32"]["logits"]["max_kl"] < 1e-7
    assert checks["f32"]["logits"]["top1_agreement"] == 1.0
    assert checks["f16"]["logits"]["max_kl"] < 1e-3
    for quantization in ("f32", "f16"):
        answer = checks[quantization]["answer"]
        assert answer["tokens_equal_to_reference"] == answer["reference_tokens"] == 24


def test_the_template_inside_the_file_is_plain_jinja(exported: tuple[JobDirectory, list[dict[str, Any]]]) -> None:
    reader = gguf.GGUFReader(exported[0].outputs / "tutor-f16.gguf")
    template = reader.get_field("tokenizer.chat_template")
    assert template is not None
    assert "generation %}" not in template.contents()
    assert reader.get_field("general.name") is None


def test_the_file_names_the_token_that_ends_a_turn(exported: tuple[JobDirectory, list[dict[str, Any]]]) -> None:
    named = gguf.GGUFReader(exported[0].outputs / "tutor-f16.gguf").get_field("tokenizer.ggml.eot_token_id")
    assert named is not None
    assert named.contents() == make_tiny_tokenizer().convert_tokens_to_ids("<|im_end|>")


def test_running_again_gives_the_same_bytes(exported: tuple[JobDirectory, list[dict[str, Any]]]) -> None:
    job, _ = exported
    first = contents(job.outputs)
    (job.outputs / "of-a-former-spec.gguf").write_text("stale")
    export_here(job)
    second = contents(job.outputs)
    assert first == second


def test_a_job_that_is_told_to_stop_publishes_nothing(fresh_job: JobDirectory) -> None:
    command = [sys.executable, "-m", "fragua_exporter.conversion", str(fresh_job.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert '"preflight"' in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
    assert process.returncode == EXIT_INTERRUPTED
    assert contents(fresh_job.outputs) == {}


def test_an_adapter_of_another_base_fails_before_anything_is_written(fresh_job: JobDirectory) -> None:
    shutil.rmtree(fresh_job.inputs / "base")
    make_tiny_llama(fresh_job.inputs / "base", seed=1, layers=1)
    status, records = run_engine(fresh_job)
    assert status == 1
    assert records[-1]["reason"] == "ADAPTER_MISMATCH"
    assert contents(fresh_job.outputs) == contents(fresh_job.root / "unproven") == {}


def test_scaled_rotary_an_own_head_and_a_padded_vocabulary_survive(tmp_path: Path) -> None:
    job = make_job(tmp_path, spec={"quantizations": ["f32"]})
    rope = {"rope_type": "llama3", "rope_theta": 500_000.0, "factor": 32.0, "low_freq_factor": 1.0}
    rope |= {"high_freq_factor": 4.0, "original_max_position_embeddings": 64}
    tokenizer = make_tiny_tokenizer()
    config = LlamaConfig.from_pretrained(
        job.inputs / "base", vocab_size=len(tokenizer) + 16, tie_word_embeddings=False, rope_parameters=rope
    )
    model: Any = LlamaForCausalLM(config)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            parameter.data.normal_(std=0.5 if "embed" in name or "lm_head" in name else 0.19)
    model.save_pretrained(job.inputs / "base")
    make_adapter(job.inputs / "base", job.inputs / "adapter", target_modules=["q_proj", "lm_head"])
    export_here(job)
    assert export_info(job)["adapter"]["merged_matrices"] == 3
    assert export_info(job)["files"][0]["verification"]["logits"]["max_kl"] < 1e-7


def convert_and_verify(job: JobDirectory, preflight: Preflight) -> None:
    files = {Quantization.F32: job.root / "tutor-f32.gguf"}
    reporter = Reporter(io.StringIO())
    convert(preflight, files, reporter)
    list(engine.verify_files(preflight, files, engine.make_reference(job, preflight), reporter))


def test_verification_catches_a_file_without_the_query_key_permutation(fresh_job: JobDirectory) -> None:
    preflight = check_inputs(fresh_job)
    convert_and_verify(fresh_job, preflight)
    unpermuted = tuple(dataclasses.replace(tensor, transform=as_stored) for tensor in preflight.plan.tensors)
    plan = dataclasses.replace(preflight.plan, tensors=unpermuted)
    with pytest.raises(InternalError) as failed:
        convert_and_verify(fresh_job, dataclasses.replace(preflight, plan=plan))
    assert [violation.field for violation in failed.value.violations] == ["tutor-f32.gguf: logits"]


def test_verification_catches_a_file_whose_adapter_was_forgotten(fresh_job: JobDirectory) -> None:
    preflight = check_inputs(fresh_job)
    adapter = dataclasses.replace(preflight.adapter, updates={})
    with pytest.raises(InternalError) as failed:
        convert_and_verify(fresh_job, dataclasses.replace(preflight, adapter=adapter))
    assert [violation.field for violation in failed.value.violations] == ["tutor-f32.gguf: logits"]


@pytest.mark.parametrize("wrong_name", ["qwen2", "gpt-2"])
def test_verification_catches_a_wrong_pre_tokenizer(fresh_job: JobDirectory, wrong_name: str) -> None:
    preflight = check_inputs(fresh_job)
    assert preflight.vocabulary.pre_tokenizer in PRE_TOKENIZERS.values()
    vocabulary = dataclasses.replace(preflight.vocabulary, pre_tokenizer=wrong_name)
    with pytest.raises(InternalError) as failed:
        convert_and_verify(fresh_job, dataclasses.replace(preflight, vocabulary=vocabulary))
    assert [violation.field for violation in failed.value.violations] == ["tutor-f32.gguf: tokens"]


def test_a_model_that_opens_a_new_turn_is_not_published(tmp_path: Path) -> None:
    job = make_job(tmp_path, spec={"quantizations": ["f16"]})
    weights: Any = LlamaForCausalLM.from_pretrained(job.inputs / "base")
    opens_a_turn = make_tiny_tokenizer().convert_tokens_to_ids("<|im_start|>")
    # Every layer adds nothing, so what follows a token is what lies nearest to it; the last prompt token is "\n".
    for name, parameter in weights.named_parameters():
        if "o_proj" in name or "down_proj" in name:
            parameter.data.zero_()
    newline = make_tiny_tokenizer().encode("\n", add_special_tokens=False)[0]
    embeddings = weights.get_input_embeddings().weight.data
    embeddings[opens_a_turn] = embeddings[newline] * 3
    weights.save_pretrained(job.inputs / "base")
    make_adapter(job.inputs / "base", job.inputs / "adapter", target_modules=["q_proj"])
    with pytest.raises(InternalError, match="does not end its turns") as failed:
        export_here(job)
    assert failed.value.failure_class == FailureClass.USER_DATA
    assert contents(job.outputs) == {}
