"""A base without an adapter becomes a file in less time than it takes to import torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import gguf
import pytest

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
