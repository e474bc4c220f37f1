"""Taking in answers that somebody else generated, for arms of kind `outputs`."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from fragua_evaluator.domain.evaluation_order import outputs_prefix
from fragua_platform.artifacts.store import ArtifactRef, ArtifactStore
from fragua_platform.errors import InvalidData, LimitExceeded


class OutputUploads:
    def __init__(self, store: ArtifactStore, scratch: Path, limit_bytes: int) -> None:
        self._store = store
        self._scratch = scratch
        self._limit_bytes = limit_bytes

    async def take(self, branch: str, sha256: str, chunks: AsyncIterator[bytes]) -> ArtifactRef:
        """The stored object, named by its digest; the same bytes again are the same object."""
        await asyncio.to_thread(self._scratch.mkdir, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._scratch, prefix="outputs-") as file:
            digest, size = hashlib.sha256(), 0
            async for chunk in chunks:
                size += len(chunk)
                if size > self._limit_bytes:
                    raise LimitExceeded(
                        f"the outputs are larger than the limit of {self._limit_bytes} bytes (FRAGUA_MAX_OUTPUTS_BYTES)"
                    )
                digest.update(chunk)
                await asyncio.to_thread(file.write, chunk)
            if not size:
                raise InvalidData("the outputs are empty: a line of `id` and `output` for each answer is expected")
            if digest.hexdigest() != sha256:
                raise InvalidData(f"the outputs arrived with the sha256 {digest.hexdigest()}; send them again")
            file.flush()
            return await self._store.put_file(f"{outputs_prefix(branch)}/{sha256}", Path(file.name))
