"""The lines that an engine writes on its standard output, parsed; see `engine.py` for what they mean."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError, field_validator

from fragua_platform.errors import FailureClass

_LARGEST_INTEGER = 2**63 - 1
"""What databases and protos hold."""

Count = Annotated[int, Field(ge=0, le=_LARGEST_INTEGER)]
MetricName = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class ProgressRecord(BaseModel):
    model_config = ConfigDict(frozen=True)

    record: Literal["progress"] = "progress"
    phase: str
    step: Count
    total: Count
    message: str = ""
    metrics: dict[MetricName, float] = {}


class CheckpointRecord(BaseModel):
    model_config = ConfigDict(frozen=True)

    record: Literal["checkpoint"] = "checkpoint"
    step: Count
    directory: str

    @field_validator("directory")
    @classmethod
    def _within_the_job(cls, directory: str) -> str:
        path = PurePosixPath(directory)
        if path.is_absolute() or not path.parts or ".." in path.parts:
            raise ValueError("is not a folder below the job directory")
        return directory


class ReportedViolation(BaseModel):
    model_config = ConfigDict(frozen=True)

    field: str
    description: str


class FailureRecord(BaseModel):
    model_config = ConfigDict(frozen=True)

    record: Literal["failure"] = "failure"
    failure_class: FailureClass
    reason: str
    message: str
    violations: list[ReportedViolation] = []
    retry: bool = False
    """Something that the engine needs is away: the same may work later."""


Record = Annotated[ProgressRecord | CheckpointRecord | FailureRecord, Field(discriminator="record")]
_RECORD: TypeAdapter[Record] = TypeAdapter(Record)


def parse_record(line: bytes) -> ProgressRecord | CheckpointRecord | FailureRecord | None:
    """None for a line that is no record: something in the engine printed it."""
    try:
        return _RECORD.validate_json(line)
    except ValidationError:
        return None
