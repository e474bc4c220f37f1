"""What every decoder says about itself in config.json, read strictly: what we would not write is refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fragua_exporter.domain.export_spec import violations_of
from fragua_platform.errors import InvalidInput, Violation

Size = Annotated[int, Field(ge=1, le=1_048_576)]
Positions = Annotated[int, Field(ge=1, le=2**31 - 1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Rope(BaseModel):
    """Rotary embedding; each family says what it can do beyond the plain one."""

    model_config = ConfigDict(frozen=True)

    rope_theta: Positive = 10_000.0


class PlainRope(Rope):
    rope_type: Literal["default"] = "default"
    partial_rotary_factor: Literal[1] = 1


class DecoderConfig(BaseModel):
    """The part that all families share and that decides what the network computes."""

    model_config = ConfigDict(frozen=True)

    vocab_size: Size
    hidden_size: Size
    intermediate_size: Size
    num_hidden_layers: Annotated[int, Field(ge=1, le=1024)]
    num_attention_heads: Size
    num_key_value_heads: Size
    head_dim: Annotated[int, Field(ge=2, multiple_of=2, le=65_536)]
    max_position_embeddings: Positions
    rms_norm_eps: Annotated[float, Field(ge=0, le=1)]
    tie_word_embeddings: bool = False

    @property
    def query_rows(self) -> int:
        return self.num_attention_heads * self.head_dim

    @property
    def key_rows(self) -> int:
        return self.num_key_value_heads * self.head_dim


Config = TypeVar("Config", bound=DecoderConfig)


def parse_config(kind: type[Config], document: Mapping[str, Any], family: str) -> Config:
    """Raises InvalidInput with every value that this converter does not write."""
    heads, hidden = document.get("num_attention_heads"), document.get("hidden_size")
    derived: dict[str, Any] = {"rope_parameters": rope_of(document)}
    if document.get("num_key_value_heads") is None:
        derived["num_key_value_heads"] = heads
    if document.get("head_dim") is None and isinstance(hidden, int) and isinstance(heads, int) and heads > 0:
        derived["head_dim"] = hidden // heads
    try:
        return kind.model_validate({**document, **derived})
    except ValidationError as invalid:
        raise InvalidInput(
            f"base model: config.json asks for what this converter does not write; use a plain {family} base",
            violations=violations_of(invalid, "config.json"),
            reason="UNSUPPORTED_ARCHITECTURE",
        ) from invalid


def rope_of(document: Mapping[str, Any]) -> Any:
    """The rotary settings in the form of transformers 5, from whichever release wrote them; what is no object at all is
    returned as it is, to be refused by who reads it."""
    if document.get("rope_parameters"):
        return document["rope_parameters"]
    # They once lay apart: rope_theta and partial_rotary_factor beside rope_scaling, whose type was first called `type`.
    scaling = document.get("rope_scaling") or {}
    if not isinstance(scaling, dict):
        return scaling
    former = {
        "rope_theta": document.get("rope_theta"),
        "partial_rotary_factor": document.get("partial_rotary_factor"),
        "rope_type": scaling.get("type"),
        **scaling,
    }
    return {name: value for name, value in former.items() if value is not None}


def refuse(family: str, *problems: tuple[str, str]) -> InvalidInput:
    """What types alone cannot tell: `problems` are fields of config.json with what is wrong about them."""
    return InvalidInput(
        f"base model: config.json asks for what this converter does not write; use a plain {family} base",
        violations=[Violation(f"config.json: {field}", problem) for field, problem in problems],
        reason="UNSUPPORTED_ARCHITECTURE",
    )
