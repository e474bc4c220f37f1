"""Architectures that are not ours go through a llama.cpp checkout's converter, when one is named."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import gguf
import pytest

from fragua_exporter.conversion.architectures import foreign, plan_model
from fragua_exporter.conversion.checkout import (
    CHECKOUT_VARIABLE,
    CONVERTER,
    convert_in_checkout,
    find_converter,
)
from fragua_exporter.conversion.checkpoint import open_checkpoint
from fragua_exporter.conversion.export import export
from fragua_exporter.conversion.merge import load_adapter
from fragua_exporter.conversion.vocabulary import load_vocabulary
from fragua_exporter.domain.export_spec import Quantization
from fragua_platform.errors import InvalidInput
from fragua_platform.jobs.engine import JobDirectory, Reporter
from tests.tiny_families import make_tiny_family
from tests.unit.fragua_exporter.adapters import make_adapter
from tests.unit.fragua_exporter.conversions import entries_of

STAND_IN = '''
"""Does with a merged model what llama.cpp's converter does, as far as these tests look."""
import argparse, json, pathlib, sys, time
import gguf, safetensors.numpy
from neighbour import FINISHED

parser = argparse.ArgumentParser()
parser.add_argument("--outtype", choices=["f32", "f16", "bf16", "q8_0"])
parser.add_argument("--outfile", type=pathlib.Path)
parser.add_argument("model", type=pathlib.Path)
arguments = parser.parse_args()
if not FINISHED:
    time.sleep(60)
config = json.loads((arguments.model / "config.json").read_text())
if config["model_type"] == "unknown":
    sys.exit("ERROR:hf-to-gguf:Model UnknownForCausalLM is not supported")
writer = gguf.GGUFWriter(arguments.outfile, config["model_type"])
writer.add_add_bos_token(True)
writer.add_chat_template((arguments.model / "chat_template.jinja").read_text())
for name, tensor in safetensors.numpy.load_file(arguments.model / "model.safetensors").items():
    writer.add_tensor(name, tensor)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
print("done")
'''


@pytest.fixture
def converter(tmp_path: Path) -> Path:
    checkout = tmp_path / "llama.cpp"
    checkout.mkdir()
    (checkout / CONVERTER).write_text(STAND_IN)
    (checkout / "neighbour.py").write_text("FINISHED = True\n")
    found = find_converter({CHECKOUT_VARIABLE: str(checkout)})
    assert found is not None
    return found


def never(*_: object) -> None:
    """Nothing to report and no reason to stop."""


# R188, R189
def test_the_converter_gets_the_merged_model_and_its_file_adds_nothing_to_prompts(
    base: Path, adapter: Path, converter: Path, tmp_path: Path
) -> None:
    checkpoint = open_checkpoint(base)
    lora = load_adapter(adapter, foreign.plan(checkpoint, converter))
    file = tmp_path / "model.gguf"
    convert_in_checkout(converter, checkpoint, lora, {Quantization.F32: file}, tmp_path / "work", never, never)
    name = "model.layers.0.self_attn.q_proj.weight"
    [written] = [tensor.data for tensor in gguf.GGUFReader(file).tensors if tensor.name == name]
    [merged] = lora.merge(name, [checkpoint.read(name)])
    assert (written == merged).all()
    entries = entries_of(file)
    assert entries["tokenizer.ggml.add_bos_token"] is False
    assert "generation %}" not in entries["tokenizer.chat_template"]
    assert not (tmp_path / "work/model").exists()


def test_what_the_converter_does_not_know_either_is_refused_in_its_words(
    converter: Path, adapter: Path, tmp_path: Path
) -> None:
    base = make_tiny_family("llama", tmp_path / "base")
    config = (base / "config.json").read_text("utf-8").replace('"model_type": "llama"', '"model_type": "unknown"')
    (base / "config.json").write_text(config)
    checkpoint = open_checkpoint(base)
    with pytest.raises(InvalidInput, match="FRAGUA_ENGINE_LLAMA_CPP_DIR"):
        plan_model(checkpoint)
    lora = load_adapter(adapter, plan_model(checkpoint, converter))
    files = {Quantization.F16: tmp_path / "model.gguf"}
    with pytest.raises(InvalidInput, match="UnknownForCausalLM is not supported") as refused:
        convert_in_checkout(converter, checkpoint, lora, files, tmp_path / "work", never, never)
    assert refused.value.reason == "UNSUPPORTED_ARCHITECTURE"


def test_a_converter_can_be_stopped(base: Path, adapter: Path, converter: Path, tmp_path: Path) -> None:
    (converter.parent / "neighbour.py").write_text("FINISHED = False\n")
    checkpoint = open_checkpoint(base)
    lora = load_adapter(adapter, foreign.plan(checkpoint, converter))
    files = {Quantization.F16: tmp_path / "model.gguf"}

    def stop() -> None:
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        convert_in_checkout(converter, checkpoint, lora, files, tmp_path / "work", never, stop)
    assert time.monotonic() - started < 10
    assert not (tmp_path / "work/model").exists()


def test_no_checkout_is_no_converter_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    assert find_converter({}) is None
    with pytest.raises(InvalidInput, match=r"holds no convert_hf_to_gguf\.py"):
        find_converter({CHECKOUT_VARIABLE: str(tmp_path)})


def test_tokens_of_a_foreign_tokenizer_are_known_whatever_its_splitter(base: Path, tmp_path: Path) -> None:
    document = (base / "tokenizer.json").read_text("utf-8").replace(r"\\p{N}{1,3}", r"\\p{N}{1,2}")
    (tmp_path / "tokenizer.json").write_text(document, "utf-8")
    with pytest.raises(InvalidInput):
        load_vocabulary(tmp_path, 416)
    assert load_vocabulary(tmp_path, 416, foreign=True).control_id("<|im_end|>") == 3


OUR_OWN = """
'''Writes a Granite whose multipliers do nothing as the Llama that it is.'''
import json, pathlib, sys
from fragua_exporter.conversion.architectures import plan_model
from fragua_exporter.conversion.checkpoint import open_checkpoint
from fragua_exporter.conversion.merge import Adapter
from fragua_exporter.conversion.vocabulary import load_vocabulary
from fragua_exporter.conversion.writer import write_gguf_files
from fragua_exporter.domain.export_spec import Quantization

_, _, outtype, _, outfile, model = sys.argv
config = pathlib.Path(model, "config.json")
config.write_text(json.dumps(json.loads(config.read_text()) | {"model_type": "llama"}))
checkpoint = open_checkpoint(pathlib.Path(model))
plan = plan_model(checkpoint)
vocabulary = load_vocabulary(checkpoint.directory, plan.vocabulary_size)
files = {Quantization(outtype): pathlib.Path(outfile)}
write_gguf_files(files, plan, checkpoint, Adapter(1, 1.0, {}), vocabulary, lambda writer: None, lambda done: None)
"""


def make_granite_job(directory: Path, **spec: object) -> JobDirectory:
    job = JobDirectory(directory)
    base = make_tiny_family("granite", job.inputs / "base")
    make_adapter(base, job.inputs / "adapter")
    asked: dict[str, object] = {
        "model_name": "tutor",
        "quantizations": ["f16", "q4_0"],
        "probe_prompt": "¿Qué es?",
        "probe_max_tokens": 4,
    }
    # What four bits leave of random weights is far from what trained ones keep.
    asked["limits"] = {"q4_0": {"mean_kl": 20.0, "max_kl": 60.0}}
    (directory / "spec.json").write_text(json.dumps(asked | spec), "utf-8")
    return job


def test_an_export_of_a_foreign_architecture_is_proven_like_any_other(converter: Path, tmp_path: Path) -> None:
    converter.write_text(OUR_OWN)
    job = make_granite_job(tmp_path / "job")
    export(job, Reporter(io.StringIO()), converter)
    info = json.loads((job.outputs / "export_info.json").read_text("utf-8"))
    assert info["model"]["architecture"] == "granite"
    f16, q4_0 = (file["verification"] for file in info["files"])
    assert f16["logits"]["max_kl"] < 1e-2 < q4_0["logits"]["max_kl"]
    assert f16["tokens"]["differing_texts"] == []


def test_what_needs_the_names_of_a_foreign_architecture_is_refused(converter: Path, tmp_path: Path) -> None:
    job = make_granite_job(tmp_path / "job", adapter_gguf=True)
    with pytest.raises(InvalidInput) as refused:
        export(job, Reporter(io.StringIO()), converter)
    assert [violation.field for violation in refused.value.violations] == ["adapter_gguf"]
