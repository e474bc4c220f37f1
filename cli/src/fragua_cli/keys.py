"""Ed25519 keys for signing dataset versions, exports and overrides: made and read here; the private one never leaves this machine."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from fragua_platform.artifacts.signatures import signed_message
from fragua_platform.errors import AlreadyExists, InvalidInput, Violation

_OTHERS = 0o077


def new_key(file: Path) -> Ed25519PrivateKey:
    """A key in a new file that only its owner can read."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as taken:
        raise AlreadyExists(f"{file} exists; a key is never overwritten, so choose another --out") from taken
    with os.fdopen(descriptor, "wb") as target:
        target.write(pem)
    return key


def read_key(file: Path) -> Ed25519PrivateKey:
    if os.name == "posix" and file.stat().st_mode & _OTHERS:
        raise _unusable(f"others can read {file}; `chmod 600 {file}` first")
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except (ValueError, TypeError) as broken:
        raise _unusable(f"{file} is no unencrypted private key in PEM; `fragua dataset keygen` makes one") from broken
    if not isinstance(key, Ed25519PrivateKey):
        raise _unusable(f"{file} is no Ed25519 key; `fragua dataset keygen` makes one")
    return key


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def sign_version(key: Ed25519PrivateKey, version: str, manifest_sha256: str) -> bytes:
    return key.sign(signed_message("dataset version", version, manifest_sha256))


def sign_export(key: Ed25519PrivateKey, export: str, manifest_sha256: str) -> bytes:
    return key.sign(signed_message("export", export, manifest_sha256))


def sign_override(key: Ed25519PrivateKey, evaluation: str, outcome: str, decided_by: str, reason: str) -> bytes:
    digest = hashlib.sha256(f"{outcome}\n{decided_by}\n{reason}".encode()).hexdigest()
    return key.sign(signed_message("override", evaluation, digest))


def _unusable(problem: str) -> InvalidInput:
    return InvalidInput(problem, violations=[Violation("--key", problem)])
