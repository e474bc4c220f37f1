"""A base without an adapter becomes a file in less time than it takes to import torch."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import gguf
import pytest
import torch
from safetensors.torch import load_file, save_file

from fragua_exporter.domain.export_spec import Quantization
from fragua_platform.errors import InvalidData
from tests.unit.fragua_exporter.conversions import convert

ROOT = Path(__file__).parents[3]
RUN_AND_TELL = """
import runpy, sys
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
print(*{"torch", "transformers", "peft"} & sys.modules.keys())
"""


# R153
@pytest.mark.parametrize("quantization", ["f16", "q8_0"])
def test_a_base_alone_is_converted_without_torch(base: Path, tmp_path: Path, quantization: str) -> None:
    file = tmp_path / "model.gguf"
    command = [sys.executable, "-c", RUN_AND_TELL, str(ROOT / "bench/ours/convert.py"), str(base), str(file)]
    done = subprocess.run([*command, quantization], check=True, capture_output=True, text=True)
    tensors, imported = done.stdout.splitlines()
    assert imported == ""
    assert len(gguf.GGUFReader(file).tensors) == int(tensors)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (float("nan"), "holds NaN or infinity"),
        (-float("inf"), "holds NaN or infinity"),
        (-70_000.0, "reaches 70144, more than 16-bit|reaches 70000, more than 16-bit|holds NaN or infinity"),
    ],
)
def test_what_is_no_number_of_the_file_is_refused_by_the_tensors_name(
    base: Path, tmp_path: Path, dtype: torch.dtype, value: float, problem: str
) -> None:
    shutil.copytree(base, tmp_path / "base")
    weights = tmp_path / "base/model.safetensors"
    tensors = {name: tensor.to(dtype) for name, tensor in load_file(weights).items()}
    tensors["model.layers.1.mlp.down_proj.weight"][5, 5] = value
    save_file(tensors, weights)
    with pytest.raises(InvalidData, match=rf"model\.layers\.1\.mlp\.down_proj\.weight ({problem})"):
        convert(tmp_path / "base", tmp_path / "model.gguf", quantization=Quantization.F16)
