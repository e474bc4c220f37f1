"""`fragua-gguf`: one proven file on this machine, or a reason and an exit code, and never half a file."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import gguf
import pytest
import torch
from safetensors.torch import load_file, save_file

from fragua_exporter.conversion.local import DONE, FAILED, REFUSED, make_gguf
from fragua_exporter.domain.modelfile import parse_modelfile
from fragua_platform.jobs.engine import THREADS_VARIABLE
from tests.tiny_models import make_tiny_llama
from tests.unit.fragua_exporter.adapters import make_adapter


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two would wait for each other whenever something else runs."""
    before = torch.get_num_threads()
    monkeypatch.setenv(THREADS_VARIABLE, "1")
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_llama(tmp_path_factory.mktemp("base"), seed=5, strong=True)


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_adapter(base, tmp_path_factory.mktemp("adapter"))


def weights(file: Path) -> bytes:
    [tensor] = [tensor for tensor in gguf.GGUFReader(file).tensors if tensor.name == "blk.0.attn_v.weight"]
    return tensor.data.tobytes()


# R157, R158, R196
def test_base_and_adapter_become_one_proven_file(
    base: Path, adapter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # llama.cpp demands tokens of Phi-3's from every file whose `general.name` holds "phi3".
    out = tmp_path / "salida" / "Tutor Ñ phi3.gguf"
    assert make_gguf([str(base), "--adapter", str(adapter), "--out", str(out), "--quant", "q8_0"]) == DONE
    assert [file.name for file in out.parent.iterdir()] == ["Tutor Ñ phi3.gguf"]
    told = capsys.readouterr()
    assert "KL divergence from the model in transformers" in told.out
    assert "q8_0" not in told.out and "sha256" in told.out
    assert [line.partition(":")[0] for line in told.err.splitlines()] == ["preflight", "converting", "verifying"]


def test_without_an_adapter_the_base_is_converted_as_it_is(base: Path, adapter: Path, tmp_path: Path) -> None:
    alone, merged = tmp_path / "base.gguf", tmp_path / "merged.gguf"
    assert make_gguf([str(base), "--out", str(alone), "--quant", "f32"]) == DONE
    options = ["--adapter", str(adapter), "--quant", "f32", "--no-verify"]
    assert make_gguf([str(base), *options, "--out", str(merged)]) == DONE
    stored = load_file(base / "model.safetensors")["model.layers.0.self_attn.v_proj.weight"]
    assert weights(alone) == stored.numpy().tobytes() != weights(merged)


def test_a_modelfile_names_the_file_from_where_it_lies(base: Path, tmp_path: Path) -> None:
    out, modelfile = tmp_path / "m.gguf", tmp_path / "ollama" / "Modelfile"
    options = ["--modelfile", str(modelfile), "--system", "Eres un señor.", "--num-ctx", "256", "--no-verify"]
    assert make_gguf([str(base), "--out", str(out), *options]) == DONE
    written = parse_modelfile(modelfile.read_text("utf-8"))
    assert (written.file, written.system, written.parameters["num_ctx"]) == ("../m.gguf", "Eres un señor.", 256)


def test_what_is_there_is_replaced_only_on_request(base: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.gguf"
    out.write_bytes(b"mine")
    assert make_gguf([str(base), "--out", str(out), "--no-verify"]) == REFUSED
    assert out.read_bytes() == b"mine"
    assert make_gguf([str(base), "--out", str(out), "--no-verify", "--overwrite"]) == DONE
    assert out.read_bytes()[:4] == b"GGUF"


def test_inputs_that_cannot_work_are_named_and_leave_nothing(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_adapter(make_tiny_llama(tmp_path / "other", seed=1, hidden=32), tmp_path / "adapter")
    out = tmp_path / "out" / "m.gguf"
    assert make_gguf([str(base), "--adapter", str(other), "--out", str(out)]) == REFUSED
    assert "export it with the base it was trained on" in capsys.readouterr().err
    assert make_gguf([str(tmp_path / "nada"), "--out", str(out)]) == REFUSED
    assert list(out.parent.iterdir()) == []


def test_a_file_that_is_not_the_model_never_gets_its_name(
    base: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Between conversion and proof somebody exchanges the adapter: what was written is no longer what is asked for."""
    from fragua_exporter.conversion import export

    mine = tmp_path / "adapter"
    mine.mkdir()
    for file in adapter.iterdir():
        (mine / file.name).write_bytes(file.read_bytes())
    prove = export.prove

    def exchange_and_prove(*arguments: object) -> None:
        tensors = load_file(mine / "adapter_model.safetensors")
        save_file(
            {name: -tensor for name, tensor in tensors.items() if tensor.numel()}
            | {name: tensor for name, tensor in tensors.items() if "lora_A" in name},
            mine / "adapter_model.safetensors",
        )
        prove(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(export, "prove", exchange_and_prove)
    out = tmp_path / "out" / "m.gguf"
    assert make_gguf([str(base), "--adapter", str(mine), "--out", str(out), "--quant", "f32"]) == FAILED
    assert "logits" in capsys.readouterr().err
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize("quantization", ["f16", "q4_k_m"])
def test_a_base_that_is_not_proven_needs_no_torch(base: Path, tmp_path: Path, quantization: str) -> None:
    unproven, proven = tmp_path / "m.gguf", tmp_path / "proven" / "m.gguf"
    script = (
        "import sys; from fragua_exporter.conversion.local import make_gguf; status = make_gguf(sys.argv[1:]); "
        "print(status, *[name for name in sys.modules if name.split('.')[0] in ('torch', 'peft') and sys.modules[name]])"
    )
    options = [str(base), "--quant", quantization]
    command = [sys.executable, "-c", script, *options, "--no-verify", "--out", str(unproven)]
    made = subprocess.run(command, capture_output=True, text=True, check=True)
    assert made.stdout.splitlines()[-1] == "0"
    assert "PyTorch" not in made.stderr
    if quantization == "f16":
        assert make_gguf([*options, "--out", str(proven)]) == DONE
        assert unproven.read_bytes() == proven.read_bytes()


def test_help_and_mistakes_take_no_libraries_and_no_time() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "fragua_exporter.conversion.local"]
    began = time.monotonic()
    shown = subprocess.run([*command, "--help"], capture_output=True, text=True, env=os.environ | {"COLUMNS": "100"})
    assert shown.returncode == 0 and "--adapter" in shown.stdout
    assert "| torch" not in shown.stderr.replace("  ", " ").replace("  ", " ")
    assert time.monotonic() - began < 20
    wrong = subprocess.run([sys.executable, *command[3:], "base", "--out", "x", "--quant", "q3"], capture_output=True)
    assert wrong.returncode == REFUSED
