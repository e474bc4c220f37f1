"""How large the files of an export will be, from the shapes of the base's tensors alone."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fragua_exporter.domain.export_spec import FEWER_BITS, ExportSpec, Quantization

WORKING_MEMORY = 1_500_000_000
"""What Python, torch, transformers and llama.cpp take before there is a model, with the logits that are compared."""
_REFERENCE_BYTES = 4
"""A parameter of the reference, which runs in 32 bits."""
_ADAPTER_DIVISOR = 8
"""An adapter's LoRA as GGUF is far below an eighth of the base at any rank that anybody trains."""

_BLOCKS: Mapping[str, tuple[int, int]] = {
    "f32": (1, 4),
    "f16": (1, 2),
    "bf16": (1, 2),
    "q8_0": (32, 34),
    "q6_k": (256, 210),
    "q5_k": (256, 176),
    "q5_1": (32, 24),
    "q5_0": (32, 22),
    "q4_k": (256, 144),
    "q4_0": (32, 18),
}
"""Numbers in a block, and its bytes."""
_NARROWER: Mapping[str, str] = {"q6_k": "q8_0", "q5_k": "q5_1", "q4_k": "q5_0"}
"""What llama.cpp stores rows in that do not fill blocks of 256."""
_LAYER = re.compile(r"\.layers\.(\d+)\.")


@dataclass(frozen=True)
class TensorShape:
    name: str
    """As in the base's safetensors files."""
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class FileEstimate:
    quantization: Quantization
    size_bytes: int


@dataclass(frozen=True)
class ExportEstimate:
    disk_bytes: int
    """Inputs, files, and what is written on the way and removed again."""
    memory_bytes: int
    files: tuple[FileEstimate, ...]


def estimate(
    spec: ExportSpec, tensors: Sequence[TensorShape], input_bytes: int, weight_bytes: int, tokenizer_bytes: int
) -> ExportEstimate:
    """`input_bytes` is all that is fetched, `weight_bytes` the base's weights among it."""
    files = tuple(
        FileEstimate(quantization, file_size(tensors, quantization) + tokenizer_bytes)
        for quantization in spec.quantizations
    )
    written = [file.size_bytes for file in files]
    if spec.merged_model:
        written.append(weight_bytes + tokenizer_bytes)
    if spec.adapter_gguf:
        written.append(weight_bytes // _ADAPTER_DIVISOR)
    asked = set(spec.quantizations)
    # The base alone, to prove the adapter with, and what the quantizer starts from.
    passing = (spec.adapter_gguf, asked & FEWER_BITS and not asked & {Quantization.F32, Quantization.F16})
    written += [file_size(tensors, Quantization.F16) + tokenizer_bytes for needed in passing if needed]
    parameters = sum(tensor.size for tensor in tensors)
    largest = max((file.size_bytes for file in files), default=0)
    return ExportEstimate(
        disk_bytes=input_bytes + sum(written),
        memory_bytes=WORKING_MEMORY + _REFERENCE_BYTES * parameters + largest,
        files=files,
    )


def file_size(tensors: Iterable[TensorShape], quantization: Quantization) -> int:
    tensors = list(tensors)
    layers = 1 + max((int(layer[1]) for tensor in tensors if (layer := _LAYER.search(tensor.name))), default=0)
    has_head = any(tensor.name.endswith("lm_head.weight") for tensor in tensors)
    return sum(_stored(tensor.shape, _kind(tensor.name, quantization, layers, has_head)) for tensor in tensors)


def _stored(shape: tuple[int, ...], kind: str) -> int:
    if len(shape) < 2:
        kind = "f32"
    block, size = _BLOCKS[kind]
    if shape and shape[-1] % block:
        return _stored(shape, _NARROWER.get(kind, "f16"))
    return math.prod(shape) // block * size


def _kind(name: str, quantization: Quantization, layers: int, has_head: bool) -> str:
    """In what llama.cpp's quantizer stores a matrix; the mixtures keep more of those that tell most."""
    if quantization not in FEWER_BITS:
        return quantization.value
    # A model without a head of its own speaks through its embedding.
    if name.endswith("lm_head.weight" if has_head else "embed_tokens.weight"):
        return "q6_k"
    usual = quantization.value.removesuffix("_m")
    if quantization in (Quantization.Q5_K_M, Quantization.Q4_K_M):
        if "qkv_proj" in name:
            return "q6_k" if quantization is Quantization.Q5_K_M else "q5_k"
        if ("v_proj" in name or "down_proj" in name) and _is_precious(name, layers):
            return "q6_k"
    return usual


def _is_precious(name: str, layers: int) -> bool:
    """The first and last eighths, and every third layer between them."""
    found = _LAYER.search(name)
    layer = int(found[1]) if found else 0
    return layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2
