"""Ed25519 signatures over published bundles: what is signed, and whether a signature fits."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def signed_message(kind: str, name: str, manifest_sha256: str) -> bytes:
    """`kind` is what the bundle is, such as `export`.

    The name is part of it, so that a signature cannot be carried over to another resource of the same bytes.
    """
    return f"fragua {kind} v1\n{name}\n{manifest_sha256}\n".encode()


def signature_fits(kind: str, name: str, manifest_sha256: str, public_key: bytes, signature: bytes) -> bool:
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key)
        key.verify(signature, signed_message(kind, name, manifest_sha256))
    except (InvalidSignature, ValueError):
        return False
    return True
