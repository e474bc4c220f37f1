"""The port to the object store: immutable objects, written once, checked on every read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class ArtifactRef:
    """One immutable object: where it is, and what its bytes must be."""

    key: str
    size: int
    sha256: str
    """Lower-case hexadecimal."""


class ArtifactStore(Protocol):
    """Guarantees of every implementation:

    - An object is visible whole or not at all; a writer that dies leaves nothing under the key.
    - `put_*` never overwrites. Two writers of one key: exactly one creates it. The other one gets the existing ref
      when the bytes are the same (so a retry is harmless), else `AlreadyExists`.
    - Reads check size and sha256 and raise `Corrupted` instead of returning other bytes.
    - Keys are relative POSIX paths of plain segments; anything else is `InvalidInput`.
    - A missing object is `NotFound`; a store that does not answer is `Unavailable`; a full one is `LimitExceeded`.
    """

    async def put_file(self, key: str, source: Path) -> ArtifactRef:
        """Store a file, streamed (multipart on S3); memory use does not grow with its size."""
        ...

    async def move_file(self, key: str, source: Path, *, sha256: str) -> ArtifactRef:
        """Store a file that its only writer hands over, and whose digest it took on the way; copied only where it must be.

        Nobody may write to `source` any more; deleting it is fine.
        """
        ...

    async def put_bytes(self, key: str, content: bytes) -> ArtifactRef:
        """Store a small object such as a manifest."""
        ...

    async def get_file(self, ref: ArtifactRef, target: Path) -> None:
        """Fetch to `target`, streamed, verified against `ref`; `target` appears only when it is whole and right.

        Folders above `target` are made.
        """
        ...

    async def get_bytes(self, key: str, *, sha256: str | None = None, limit: int = 16 * 1024 * 1024) -> bytes:
        """Fetch a small object, at most `limit` bytes; verified when `sha256` is given."""
        ...

    def read(self, ref: ArtifactRef, *, offset: int = 0) -> AsyncIterator[bytes]:
        """Stream chunks of at most 1 MiB from `offset` on. The digest is checked when `offset` is 0."""
        ...

    async def stat(self, key: str) -> ArtifactRef:
        """The object's ref, or `NotFound`. May read the object to learn its digest."""
        ...

    def list(self, prefix: str) -> AsyncIterator[str]:
        """Keys below the folder `prefix`, in lexical order."""
        ...

    async def delete(self, key: str) -> None:
        """Remove an object that nothing refers to; removing what is not there is fine."""
        ...

    async def presign_download(self, key: str, expires: timedelta) -> str:
        """A link that works without credentials until it expires; `FailedPrecondition` where the store has none."""
        ...

    async def check(self) -> None:
        """Raise `Unavailable` unless the store answers; for readiness."""
        ...
