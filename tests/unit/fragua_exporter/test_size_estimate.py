"""What an export would need, guessed from shapes and held against what the engine makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fragua_exporter.conversion.architectures import plan_model
from fragua_exporter.conversion.checkpoint import open_checkpoint
from fragua_exporter.conversion.quantize import quantize
from fragua_exporter.conversion.writer import file_size as written_size
from fragua_exporter.domain.export_spec import FEWER_BITS, ExportSpec, Quantization
from fragua_exporter.domain.size_estimate import TensorShape, estimate, file_size
from tests.tiny_models import make_tiny_llama, make_tiny_phi3
from tests.unit.fragua_exporter.conversions import convert

QUESTION = "¿Qué?"


def shapes(base: Path) -> list[TensorShape]:
    return [TensorShape(name, entry.shape) for name, entry in open_checkpoint(base).entries.items()]


@pytest.mark.parametrize("make", [make_tiny_llama, make_tiny_phi3])
@pytest.mark.parametrize("hidden", [64, 256])
def test_the_files_that_we_write_ourselves_are_as_large_as_estimated(tmp_path: Path, make: object, hidden: int) -> None:
    base = make(tmp_path / "base", seed=1, hidden=hidden)  # type: ignore[operator]
    plan = plan_model(open_checkpoint(base))
    for quantization in set(Quantization) - FEWER_BITS:
        assert file_size(shapes(base), quantization) == written_size(plan, quantization)


@pytest.mark.parametrize("hidden", [64, 256])
def test_the_files_of_llama_cpps_quantizer_are_about_as_large_as_estimated(tmp_path: Path, hidden: int) -> None:
    """It decides by itself which matrices it keeps in more bits."""
    base = make_tiny_llama(tmp_path / "base", seed=1, hidden=hidden, layers=8)
    source = convert(base, tmp_path / "source.gguf")
    head = source.stat().st_size - file_size(shapes(base), Quantization.F32)
    for quantization in FEWER_BITS:
        target = tmp_path / quantization
        quantize(source, target, quantization, 1, lambda *_: None)
        assert file_size(shapes(base), quantization) == pytest.approx(target.stat().st_size - head, rel=0.02)


def spec(*quantizations: Quantization, **settings: Any) -> ExportSpec:
    return ExportSpec(model_name="m", quantizations=quantizations, probe_prompt=QUESTION, **settings)


def needed(spec: ExportSpec) -> int:
    tensors = [TensorShape("model.layers.0.mlp.up_proj.weight", (1024, 1024))]
    return estimate(spec, tensors, input_bytes=5, weight_bytes=2**21, tokenizer_bytes=0).disk_bytes


def test_what_is_written_on_the_way_is_counted() -> None:
    f16, q4 = 2**21, 2**20 // 256 * 144
    assert needed(spec(Quantization.F16)) == 5 + f16
    assert needed(spec(Quantization.Q4_K_M)) == 5 + q4 + f16, "it is made from a file of 16 bits"
    assert needed(spec(Quantization.Q4_K_M, Quantization.F16)) == 5 + q4 + f16, "which is asked for anyway"
    assert needed(spec(Quantization.F16, merged_model=True)) == 5 + f16 + 2**21
    assert needed(spec(Quantization.F16, adapter_gguf=True)) > 5 + 2 * f16, "the base alone proves the adapter"
    assert needed(spec(Quantization.Q4_K_M, adapter_gguf=True)) > 5 + q4 + 2 * f16


def test_memory_holds_the_reference_in_32_bits_and_the_largest_file() -> None:
    tensors = [TensorShape("model.layers.0.mlp.up_proj.weight", (32_768, 32_768))]
    found = estimate(spec(Quantization.Q8_0, Quantization.F16), tensors, 0, 0, 0)
    assert found.memory_bytes > 4 * 2**30 + 2 * 2**30
    assert [file.size_bytes for file in found.files] == [2**30 // 32 * 34, 2 * 2**30]
