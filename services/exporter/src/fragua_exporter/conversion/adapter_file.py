"""Writes the adapter alone as a GGUF LoRA, which llama.cpp adds to a GGUF file of the base (`--lora`)."""

from __future__ import annotations

from pathlib import Path

import gguf
from gguf import GGMLQuantizationType

from fragua_exporter.conversion.architectures.plan import ModelPlan
from fragua_exporter.conversion.gguf_file import GgufFile
from fragua_exporter.conversion.merge import Adapter
from fragua_exporter.conversion.writer import full_disk_is_named


def write_adapter(file: Path, plan: ModelPlan, adapter: Adapter) -> None:
    """In 32 bits: a few megabytes, of which none is worth rounding."""
    changed = [(tensor, adapter.updates[tensor.source]) for tensor in plan.tensors if tensor.source in adapter.updates]
    output = GgufFile(file, plan.gguf_architecture)
    with full_disk_is_named():
        try:
            output.add_type(gguf.GGUFType.ADAPTER)
            output.add_string(gguf.Keys.Adapter.TYPE, "lora")
            # llama.cpp divides by the rank and knows nothing of rank-stabilised adapters.
            output.add_float32(gguf.Keys.Adapter.LORA_ALPHA, adapter.scale * adapter.rank)
            for tensor, update in changed:
                output.announce_tensor(f"{tensor.target}.lora_a", tuple(update.a.shape), GGMLQuantizationType.F32)
                output.announce_tensor(f"{tensor.target}.lora_b", tuple(update.b.shape), GGMLQuantizationType.F32)
            output.write_head()
            for tensor, update in changed:
                for matrix in (update.a, tensor.transform(update.b)):
                    output.begin_tensor()
                    output.append(matrix)
            output.finish()
        finally:
            output.close()
