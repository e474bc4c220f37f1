"""Somebody's word that an export is what it was, and what a look at its stored bytes finds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

SIGNED_KIND = "export"
"""What a signature says that it is over."""


@dataclass(frozen=True)
class Signature:
    """Ed25519 over the digest of an export's manifest; the keys and signatures as they are on the wire."""

    signer: str
    public_key: bytes
    signature: bytes
    time: datetime


@dataclass(frozen=True)
class SignatureCheck:
    signer: str
    public_key: bytes
    valid: bool
    """It fits the manifest as it is stored now."""


@dataclass(frozen=True)
class ExportVerification:
    faults: list[str]
    signatures: list[SignatureCheck]

    @property
    def intact(self) -> bool:
        return not self.faults and all(check.valid for check in self.signatures)
