"""What was ordered for a version: where its rows come from, how they are treated, and who has to approve them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from fragua_dataset.domain.profile import Shape
from fragua_dataset.domain.synthesis_order import SynthesisOrder
from fragua_dataset.domain.version import Origin
from fragua_dataset.domain.version_spec import Container, VersionSpec


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TokenizerUse(_Frozen):
    """A base model whose tokenizer should be asked which rows it cuts."""

    base_model: str
    """`baseModels/{model}/revisions/{revision}`"""
    max_length: int


class VersionOptions(_Frozen):
    """What a client may say about the making of a version; what is left out is for the branch's policy or a default."""

    format: Literal[Container, "auto"] = "auto"
    shape: Literal[Shape, "auto"] = "auto"
    validation_fraction: float | None = None
    split_seed: int = 0
    group_field: str = ""
    stratum_field: str = ""
    profile: str = ""
    """Name of a built-in profile."""
    profile_yaml: str = ""
    """A profile of the client's own; excludes `profile`."""
    evaluation: bool | None = None
    """To evaluate with, not to train on; None where the client did not say."""
    tokenizers: tuple[TokenizerUse, ...] = ()


class SourceObject(_Frozen):
    """A file that is safe in the artifact store."""

    key: str
    size: int = Field(ge=0)
    sha256: str


class RowsOf(_Frozen):
    """A published version that rows come from, pinned by the digest of its manifest."""

    version: str
    prefix: str
    manifest_sha256: str


class TokenizerSource(_Frozen):
    """The base model whose tokenizer the specification knows under `name`."""

    name: str
    base_model: str
    """`baseModels/{model}/revisions/{revision}`"""
    prefix: str
    manifest_sha256: str


class VersionOrder(_Frozen):
    """The `spec` of a version's job. Everything that it refers to is pinned, so making it twice gives the same bytes."""

    dataset: str
    """`branches/{branch}/datasets/{dataset}`"""
    origin: Origin
    filename: str = ""
    """Name of the file as the client gave it; for people only."""
    source: SourceObject | None = None
    """The file to read; else the rows come from `rows_of`."""
    rows_of: tuple[RowsOf, ...] = ()
    parents: tuple[str, ...] = ()
    """The versions that it is made from. One that was mended after it was INVALID has a parent without rows."""
    lineage: tuple[str, ...] = ()
    """Names of all datasets that its rows went through, its own included."""
    requires_approval: bool = False
    tokenizers: tuple[TokenizerSource, ...] = ()
    synthesis: SynthesisOrder | None = None
    """How the rows are generated, where there is nothing to read."""
    spec: VersionSpec
