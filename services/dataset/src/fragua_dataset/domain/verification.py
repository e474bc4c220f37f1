"""What a look at a version's stored bytes finds."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RowChecksAsked(_Frozen):
    """`spec.json`: which files of `inputs/` to read."""

    files: tuple[str, ...]
    most_faults: int = Field(default=1000, ge=0)
    """Faulty rows that are listed for each file; all are counted."""


class FileCheck(_Frozen):
    rows: int
    faulty_rows: int
    faults: list[str]
    """`line 17: …`; no text of a row."""


class RowChecks(_Frozen):
    """`outputs/verification.json`"""

    files: dict[str, FileCheck]


@dataclass(frozen=True)
class SignatureCheck:
    signer: str
    public_key: bytes
    valid: bool
    """It fits the manifest as it is stored now."""
    trusted: bool
    """The key is one of the branch policy's."""


@dataclass(frozen=True)
class Verification:
    faults: list[str]
    rows_checked: int
    signatures: list[SignatureCheck]

    @property
    def intact(self) -> bool:
        return not self.faults and all(check.valid for check in self.signatures)
