"""How the weights of a GGUF file can be stored, as people name it."""

from __future__ import annotations

from enum import StrEnum

from fragua.exporter.v1 import exporter_pb2


class Quantization(StrEnum):
    F32 = "f32"
    F16 = "f16"
    BF16 = "bf16"
    Q8_0 = "q8_0"
    Q6_K = "q6_k"
    Q5_K_M = "q5_k_m"
    Q4_K_M = "q4_k_m"
    Q4_0 = "q4_0"

    @property
    def in_messages(self) -> str:
        return f"QUANTIZATION_{self.name}"


def quantization_name(number: exporter_pb2.Quantization) -> str:
    """`q4_k_m`"""
    return exporter_pb2.Quantization.Name(number).removeprefix("QUANTIZATION_").lower()
