"""Writing a version for other programs: what is asked, and where it lies."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from fragua_dataset.domain.spec_problems import parse_spec


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ConversionFormat(StrEnum):
    CHAT_JSONL = "chat-jsonl"
    """`messages` on each line."""
    ALPACA = "alpaca"
    """`instruction`, `input` and `output` on each line, and `system` where there is one."""
    PARQUET = "parquet"
    """One file for each side."""
    HF_FOLDER = "hf-folder"
    """What `datasets.load_dataset` reads: Parquet files by split, and a card."""


class ConversionSpec(_Frozen):
    """`spec.json`; the rows are `inputs/{train,validation}.jsonl`."""

    format: ConversionFormat
    version: str
    """Resource name of the version, for the card and for messages."""


class ConversionOrder(_Frozen):
    """The `spec` of a conversion's job."""

    prefix: str
    manifest_sha256: str
    spec: ConversionSpec


def parse_conversion_spec(fields: Mapping[str, Any]) -> ConversionSpec:
    """Raises InvalidInput with one violation per problem."""
    return parse_spec(ConversionSpec, fields, "the conversion's")


def conversion_prefix(name: str) -> str:
    """`…/datasets/d/versions/v/conversions/c` lies beside, not in, the version: what lies in it belongs to it."""
    _, branch, _, dataset, _, version, _, conversion = name.split("/")
    return f"datasets/{branch}/{dataset}/conversions/{version}/{conversion}"
