"""API processes stay light: no machine learning library is imported before an engine starts as a child."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "peft", "safetensors", "gguf", "llama_cpp", "numpy", "scipy")


@pytest.mark.parametrize("service", ["dataset", "trainer", "evaluator", "exporter"])
def test_a_service_starts_without_its_engines_libraries(service: str) -> None:
    script = f"import sys, fragua_{service}.bootstrap; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []
