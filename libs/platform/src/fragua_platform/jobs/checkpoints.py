"""Checkpoints in the artifact store: uploaded while the engine works on, fetched by the next attempt."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import structlog

from fragua_platform.artifacts.bundle import MANIFEST, fetch_bundle, publish_bundle
from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.errors import Corrupted, FraguaError

log = structlog.get_logger()

_KEPT = 2
"""The latest one, and the one before in case it turns out to be damaged."""


class Checkpoints:
    """`checkpoints/<job>/<step>/`, each a bundle: complete when its manifest is there."""

    def __init__(self, store: ArtifactStore, job_id: str) -> None:
        self._store = store
        self._prefix = f"checkpoints/{job_id}"
        self._uploads: set[asyncio.Task[None]] = set()
        self._order = asyncio.Lock()

    def upload(self, step: int, directory: Path) -> None:
        """Begin to upload; an upload that fails costs progress, not the job."""
        task = asyncio.create_task(self._upload(step, directory))
        self._uploads.add(task)
        task.add_done_callback(self._uploads.discard)

    async def _upload(self, step: int, directory: Path) -> None:
        try:
            async with self._order:
                await publish_bundle(self._store, f"{self._prefix}/{step:09d}", directory)
                # The engine is done with it, and disks are small.
                await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
                for old in (await self._steps())[:-_KEPT]:
                    await self._delete(old)
        except FraguaError as error:
            log.warning("checkpoint_not_uploaded", prefix=self._prefix, step=step, reason=error.reason)

    async def flush(self) -> None:
        """Wait for uploads under way."""
        await asyncio.gather(*self._uploads)

    async def fetch_latest(self, directory: Path) -> None:
        """Download the newest complete checkpoint, if there is one; a damaged one gives way to the one before."""
        for step in reversed(await self._steps()):
            try:
                await fetch_bundle(self._store, f"{self._prefix}/{step}", directory)
                return
            except Corrupted as error:
                log.warning("checkpoint_damaged", prefix=self._prefix, step=step, message=error.message)

    async def forget(self) -> None:
        """Remove them all: the job has ended."""
        await self.flush()
        async for key in self._store.list(self._prefix):
            await self._store.delete(key)

    async def _steps(self) -> list[str]:
        suffix = f"/{MANIFEST}"
        keys = [key async for key in self._store.list(self._prefix)]
        return sorted(key.split("/")[-2] for key in keys if key.endswith(suffix))

    async def _delete(self, step: str) -> None:
        prefix = f"{self._prefix}/{step}"
        # The manifest first: a checkpoint that is half gone must not look complete.
        await self._store.delete(f"{prefix}/{MANIFEST}")
        async for key in self._store.list(prefix):
            await self._store.delete(key)
