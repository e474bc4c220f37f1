"""Models that another program converts: all we must know is what an adapter fits and how large the vocabulary is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from fragua_exporter.conversion.architectures.plan import ModelPlan, TensorPlan
from fragua_exporter.conversion.checkpoint import Checkpoint
from fragua_exporter.domain.export_spec import violations_of
from fragua_platform.errors import InvalidInput


class ForeignConfig(BaseModel):
    model_type: str
    vocab_size: Annotated[int, Field(ge=1)]
    max_position_embeddings: Annotated[int, Field(ge=1)]


def plan(checkpoint: Checkpoint, converter: Path) -> ModelPlan:
    """Every tensor under its own name, so that adapters are checked and merged as for any model."""
    try:
        config = ForeignConfig.model_validate(checkpoint.config)
    except ValidationError as invalid:
        raise InvalidInput(
            "base model: config.json does not say what an export must know; use a base that is a language model alone",
            violations=violations_of(invalid, "config.json"),
            reason="UNSUPPORTED_ARCHITECTURE",
        ) from invalid
    return ModelPlan(
        gguf_architecture=config.model_type,
        vocabulary_size=config.vocab_size,
        context_length=config.max_position_embeddings,
        tensors=tuple(TensorPlan(name, name, entry.shape) for name, entry in checkpoint.entries.items()),
        write_metadata=lambda writer: None,
        converter=converter,
    )
