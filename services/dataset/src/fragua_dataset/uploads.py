"""Takes in a file of unknown size from a stream: to a temporary file first, then whole into the artifact store."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from fragua_platform.artifacts.store import ArtifactRef, ArtifactStore
from fragua_platform.errors import InvalidInput, LimitExceeded, Violation


async def receive_upload(
    chunks: AsyncIterator[bytes],
    store: ArtifactStore,
    *,
    prefix: str,
    directory: Path,
    limit: int,
    size: int | None,
    sha256: str,
) -> ArtifactRef:
    """Store the stream under its own digest, so that the same bytes again cost nothing.

    A stream that breaks, exceeds `limit` or differs from what was announced leaves nothing behind.
    """
    await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
    digest = hashlib.sha256()
    received = 0
    with tempfile.NamedTemporaryFile(dir=directory, prefix="upload-") as file:
        async for chunk in chunks:
            received += len(chunk)
            if received > limit:
                raise LimitExceeded(f"the file is larger than the limit of {limit} bytes (FRAGUA_MAX_UPLOAD_BYTES)")
            digest.update(chunk)
            await asyncio.to_thread(file.write, chunk)
        file.flush()
        _hold_to_announcement(received, size, digest.hexdigest(), sha256)
        return await store.put_file(f"{prefix}/{digest.hexdigest()}", Path(file.name))


def _hold_to_announcement(received: int, size: int | None, digest: str, sha256: str) -> None:
    problems = []
    if received == 0:
        problems.append(Violation("chunk", "the file is empty"))
    if size is not None and received != size:
        problems.append(Violation("header.size_bytes", f"{size} bytes were announced, {received} came"))
    if sha256 and digest != sha256:
        problems.append(Violation("header.sha256", "the bytes that came have another digest; send the file again"))
    if problems:
        message = "; ".join(problem.description for problem in problems)
        raise InvalidInput(message, violations=problems, reason="UPLOAD_REFUSED")
