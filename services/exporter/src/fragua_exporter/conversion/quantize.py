"""Makes the files below 8 bits from one GGUF file of 16 or 32 bits, with llama.cpp's own quantizer."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from fragua_exporter.conversion.architectures.plan import ModelPlan
from fragua_exporter.conversion.gguf_file import stored_bytes, tensor_types
from fragua_exporter.domain.export_spec import Quantization
from fragua_platform.errors import InternalError, LimitExceeded

BLOCK_TYPES: Mapping[Quantization, GGMLQuantizationType] = {
    Quantization.Q6_K: GGMLQuantizationType.Q6_K,
    Quantization.Q5_K_M: GGMLQuantizationType.Q5_K,
    Quantization.Q4_K_M: GGMLQuantizationType.Q4_K,
    Quantization.Q4_0: GGMLQuantizationType.Q4_0,
}
"""The formats that llama.cpp's quantizer writes, by what it stores most matrices in."""

_LARGEST_TYPE = GGMLQuantizationType.Q6_K
"""What the mixtures store the matrices in that tell most."""
_FALLBACK_TYPE = GGMLQuantizationType.Q8_0
"""The largest of the types for rows that do not fill blocks of 256."""
_DISK_FULL = "iostream error"


def quantize(
    source: Path,
    target: Path,
    quantization: Quantization,
    threads: int,
    on_tensor: Callable[[int, int, str], None],
    importance: Path | None = None,
) -> None:
    """Write `target` from the finished GGUF file `source`.

    `on_tensor` hears number, total and name of each tensor that begins, and may raise to stop. `importance` is what
    `importance.py` wrote.
    """
    order = {
        "source": str(source),
        "target": str(target),
        "file_type": quantization.value,
        "threads": threads,
        "importance": str(importance) if importance else None,
    }
    failure = ""
    with subprocess.Popen(
        [sys.executable, "-m", "fragua_exporter.conversion.llama_quantizer", json.dumps(order)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as quantizer:
        assert quantizer.stdout is not None
        try:
            for line in quantizer.stdout:
                record: dict[str, Any] = json.loads(line)
                failure = record.get("failure", failure)
                if "tensor" in record:
                    on_tensor(record["tensor"], record["total"], record["name"])
        except BaseException:
            quantizer.kill()
            raise
    if quantizer.returncode == 0:
        return
    if _DISK_FULL in failure:
        raise LimitExceeded(f"the disk filled up while {target.name} was written", reason="DISK_FULL")
    raise InternalError(
        f"llama.cpp could not write {target.name}: {failure or f'it ended with status {quantizer.returncode}'}; its last "
        "words are on standard error. Please report this as a defect, with config.json of the base",
        reason="QUANTIZATION_FAILED",
    )


def largest_size(plan: ModelPlan, quantization: Quantization) -> int:
    """At most so many bytes of tensors: which of them llama.cpp stores in more bits it decides by itself."""
    wanted = BLOCK_TYPES[quantization]
    mixed = quantization in (Quantization.Q5_K_M, Quantization.Q4_K_M)

    def at_most(name: str, shape: tuple[int, ...]) -> int:
        if len(shape) == 1:
            return stored_bytes(GGMLQuantizationType.F32, shape)
        precious = name in ("token_embd.weight", "output.weight") or (mixed and _tells_much(name))
        for stored in (_LARGEST_TYPE if precious else wanted, _FALLBACK_TYPE):
            if shape[-1] % GGML_QUANT_SIZES[stored][0] == 0:
                return stored_bytes(stored, shape)
        return stored_bytes(GGMLQuantizationType.F16, shape)

    constants = sum(values.nbytes for values in plan.constants.values())
    return constants + sum(at_most(tensor.target, tensor.shape) for tensor in plan.tensors)


def fallbacks(file: Path, plan: ModelPlan, block: int) -> dict[str, str]:
    """The matrices whose rows do not fill blocks of `block` numbers, with the type that they are stored in instead."""
    types = tensor_types(file)
    return {
        tensor.target: types[tensor.target].name.lower()
        for tensor in plan.tensors
        if len(tensor.shape) == 2 and tensor.shape[1] % block
    }


def _tells_much(name: str) -> bool:
    return any(part in name for part in ("attn_v", "attn_qkv", "ffn_down"))
