"""What an export is asked to do: the `spec.json` of the conversion engine, with every limit that it promises to keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from fragua_platform.errors import InvalidInput, Violation


class Quantization(StrEnum):
    """How the weight matrices of a GGUF file are stored; norms stay in 32 bits in all of them."""

    F32 = "f32"
    F16 = "f16"
    BF16 = "bf16"
    Q8_0 = "q8_0"
    """Blocks of 32 weights, 8 bits each, with one 16-bit scale: about half of f16."""
    Q6_K = "q6_k"
    """Blocks of 256 weights with scales inside, 6.6 bits each. The K types below mix several of these."""
    Q5_K_M = "q5_k_m"
    """About 5.7 bits a weight: 5 bits, and 6 where it tells most."""
    Q4_K_M = "q4_k_m"
    """About 4.8 bits a weight: the usual choice for a laptop."""
    Q4_0 = "q4_0"
    """Blocks of 32 weights, 4 bits each, with one 16-bit scale: the oldest and the fastest on some machines."""


FEWER_BITS = frozenset({Quantization.Q6_K, Quantization.Q5_K_M, Quantization.Q4_K_M, Quantization.Q4_0})
"""The formats below 8 bits: llama.cpp's quantizer makes them from another file, and knows which weights matter most."""


@dataclass(frozen=True)
class DivergenceLimit:
    """How far a file may be from the trained model, in nats per token."""

    mean_kl: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    max_kl: Annotated[float, Field(gt=0, allow_inf_nan=False)]


DIVERGENCE_LIMITS: Mapping[Quantization, DivergenceLimit] = {
    Quantization.F32: DivergenceLimit(mean_kl=1e-5, max_kl=1e-4),
    Quantization.F16: DivergenceLimit(mean_kl=1e-3, max_kl=1e-2),
    Quantization.BF16: DivergenceLimit(mean_kl=1e-2, max_kl=1e-1),
    Quantization.Q8_0: DivergenceLimit(mean_kl=5e-2, max_kl=2.0),
    Quantization.Q6_K: DivergenceLimit(mean_kl=2e-1, max_kl=6.0),
    Quantization.Q5_K_M: DivergenceLimit(mean_kl=4e-1, max_kl=8.0),
    Quantization.Q4_K_M: DivergenceLimit(mean_kl=8e-1, max_kl=12.0),
    Quantization.Q4_0: DivergenceLimit(mean_kl=8e-1, max_kl=12.0),
}
"""What a spec that says nothing else allows: what is lost in the demo's model of 3M parameters, of foreign texts, and a
little more. Larger models lose far less (some 1e-2 on average in 4 bits), so that a branch does well to set its own.
The limits of the formats below 8 bits bound their loss alone; that the conversion is right is proven on the 16-bit file
that they are made from."""


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
    """One adapter, merged into its base and written once per quantization, and on request in other forms."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
    """Names the files (`<model_name>-<quantization>.gguf`) and the model inside Ollama."""
    merged_model: bool = False
    """Also the merged model as safetensors in the base's own precision, which transformers loads."""
    adapter_gguf: bool = False
    """Also the adapter alone as a GGUF LoRA, for llama.cpp's `--lora`."""
    base_alone: bool = False
    """There is no adapter: the base as it is."""
    quantizations: Annotated[tuple[Quantization, ...], Field(max_length=len(Quantization), validate_default=True)] = ()
    """Each once, none only beside another form. The first one is the file that the Modelfile runs."""
    system_prompt: Annotated[str, StringConstraints(max_length=16_384)] = ""
    """Written into the Modelfile and used for the probe; empty leaves SYSTEM out."""
    parameters: SamplingParameters = SamplingParameters()
    probe_prompt: Annotated[str, StringConstraints(min_length=1, max_length=8_192)]
    """A question of the model's own subject; every written file must answer it before it is published."""
    probe_max_tokens: Annotated[int, Field(ge=1, le=512)] = 64
    limits: dict[Quantization, DivergenceLimit] = {}
    """The branch's own policy, where it differs from `DIVERGENCE_LIMITS`."""
    importance: bool = False
    """`inputs/importance/train.jsonl` tells which weights the formats below 8 bits must keep best."""
    task_rows: Annotated[int, Field(ge=0, le=10_000)] = 0
    """When above 0, every file answers so many rows of `inputs/task/validation.jsonl`."""
    max_task_drop: Annotated[float, Field(ge=0, le=1)] = 0.2
    """How far a file's token F1 on these rows may be below the merged model's."""
    license: Annotated[str, StringConstraints(max_length=65_536)] = ""
    provenance: Annotated[dict[ProvenanceKey, ProvenanceValue], Field(max_length=64)] = {}
    """Where base, adapter and data came from; copied to `export_info.json` as it is."""

    @field_validator("quantizations")
    @classmethod
    def _something_and_each_once(
        cls, quantizations: tuple[Quantization, ...], info: ValidationInfo
    ) -> tuple[Quantization, ...]:
        if not (quantizations or info.data.get("merged_model") or info.data.get("adapter_gguf")):
            raise ValueError(f"name at least one of {', '.join(Quantization)}, or ask for merged_model or adapter_gguf")
        if len(set(quantizations)) < len(quantizations):
            raise ValueError("each quantization may be named once")
        return quantizations

    @model_validator(mode="after")
    def _nothing_of_an_adapter_that_is_not_there(self) -> Self:
        if self.base_alone and (self.adapter_gguf or self.importance):
            raise ValueError("adapter_gguf and importance need an adapter: leave them out, or base_alone")
        return self

    def file_name(self, quantization: Quantization) -> str:
        return f"{self.model_name}-{quantization.value}.gguf"

    def limit(self, quantization: Quantization) -> DivergenceLimit:
        return self.limits.get(quantization, DIVERGENCE_LIMITS[quantization])


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
