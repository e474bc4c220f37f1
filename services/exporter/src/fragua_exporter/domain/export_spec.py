"""What an export is asked to do: the `spec.json` of the conversion engine, with every limit that it promises to keep."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from fragua_platform.errors import InvalidInput, Violation


class Quantization(StrEnum):
    """How the weight matrices of a GGUF file are stored; norms stay in 32 bits in all of them."""

    F32 = "f32"
    F16 = "f16"
    BF16 = "bf16"
    Q8_0 = "q8_0"
    """Blocks of 32 weights, 8 bits each, with one 16-bit scale: about half of f16."""


class SamplingParameters(BaseModel):
    """What the Modelfile tells Ollama to use when a request says nothing else."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: Annotated[float, Field(ge=0, le=2)] = 0.7
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.9
    top_k: Annotated[int, Field(ge=1, le=1000)] = 40
    num_ctx: Annotated[int, Field(ge=16, le=1_048_576)] = 4096
    """Context in tokens; the Modelfile never asks for more than the model was trained with."""


ProvenanceKey = Annotated[str, StringConstraints(min_length=1, max_length=128)]
ProvenanceValue = Annotated[str, StringConstraints(max_length=2048)]


class ExportSpec(BaseModel):
    """One adapter, merged into its base and written once per quantization."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
    """Names the files (`<model_name>-<quantization>.gguf`) and the model inside Ollama."""
    quantizations: Annotated[tuple[Quantization, ...], Field(max_length=len(Quantization))]
    """At least one, each once. The first one is the file that the Modelfile runs."""
    system_prompt: Annotated[str, StringConstraints(max_length=16_384)] = ""
    """Written into the Modelfile and used for the probe; empty leaves SYSTEM out."""
    parameters: SamplingParameters = SamplingParameters()
    probe_prompt: Annotated[str, StringConstraints(min_length=1, max_length=8_192)]
    """A question of the model's own subject; every written file must answer it before it is published."""
    probe_max_tokens: Annotated[int, Field(ge=1, le=512)] = 64
    provenance: Annotated[dict[ProvenanceKey, ProvenanceValue], Field(max_length=64)] = {}
    """Where base, adapter and data came from; copied to `export_info.json` as it is."""

    @field_validator("quantizations")
    @classmethod
    def _at_least_one_and_each_once(cls, quantizations: tuple[Quantization, ...]) -> tuple[Quantization, ...]:
        if not quantizations:
            raise ValueError(f"name at least one of {', '.join(Quantization)}")
        if len(set(quantizations)) < len(quantizations):
            raise ValueError("each quantization may be named once")
        return quantizations

    def file_name(self, quantization: Quantization) -> str:
        return f"{self.model_name}-{quantization.value}.gguf"


def parse_export_spec(document: Mapping[str, Any]) -> ExportSpec:
    """Raises InvalidInput with one violation per problem."""
    try:
        return ExportSpec.model_validate(document)
    except ValidationError as invalid:
        violations = violations_of(invalid)
        raise InvalidInput(f"the export spec has {len(violations)} problem(s)", violations=violations) from invalid


def violations_of(invalid: ValidationError, document: str = "") -> list[Violation]:
    """Pydantic's complaints as violations; `document` (`config.json`) goes before the field when it is not the spec."""
    return [
        Violation(": ".join(filter(None, (document, ".".join(map(str, error["loc"]))))), error["msg"])
        for error in invalid.errors()
    ]
