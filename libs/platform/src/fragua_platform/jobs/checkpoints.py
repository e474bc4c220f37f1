"""Checkpoints in the artifact store: uploaded while the engine works on, fetched by the next attempt."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import structlog

from fragua_platform.artifacts.bundle import MANIFEST, fetch_bundle, publish_bundle
from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.errors import Corrupted, FraguaError, NotFound
from fragua_platform.jobs.patience import patiently

log = structlog.get_logger()

CHECKPOINTS = "checkpoints"
_KEPT = 2
"""The latest one, and the one before in case it turns out to be damaged."""
_LAST_UPLOAD_SECONDS = 5.0


class Checkpoints:
    """`checkpoints/<job>/<step>/`, each a bundle: complete when its manifest is there."""

    def __init__(
        self, store: ArtifactStore, job_id: str, require_lease: Callable[[], Awaitable[None]], patience: timedelta
    ) -> None:
        """`require_lease` raises `Superseded` for a worker that lost the job: it must not touch its checkpoints."""
        self._store = store
        self._job_id = job_id
        self._prefix = f"{CHECKPOINTS}/{job_id}"
        self._require_lease = require_lease
        self._patience = patience
        self._uploads: set[asyncio.Task[None]] = set()
        self._order = asyncio.Lock()
        self._newest = -1
        self._abandoned = False

    def upload(self, step: int, directory: Path) -> None:
        """Begin to upload; an upload that fails costs progress, not the job."""
        self._newest = step
        task = asyncio.create_task(self._upload_in_turn(step, directory))
        self._uploads.add(task)
        task.add_done_callback(self._uploads.discard)

    async def _upload_in_turn(self, step: int, directory: Path) -> None:
        async with self._order:
            try:
                # Where uploads are slower than the engine, only the latest one is worth the time.
                if step >= self._newest:
                    await patiently(lambda: self._upload(step, directory), self._patience)
            except FraguaError as error:
                log.warning("checkpoint_not_uploaded", prefix=self._prefix, step=step, reason=error.reason)
            except Exception:  # the job can do without this checkpoint, and the next one may get through
                log.exception("checkpoint_not_uploaded", prefix=self._prefix, step=step)
            # The engine is done with it, and disks are small.
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    async def _upload(self, step: int, directory: Path) -> None:
        if self._abandoned:
            return
        if not await asyncio.to_thread(directory.is_dir):
            raise NotFound(f"the engine announced {directory.name}, and it is not there")
        await self._require_lease()
        await publish_bundle(self._store, f"{self._prefix}/{step:012d}", directory)
        for old in (await self._steps())[:-_KEPT]:
            await self._delete(old)

    async def flush(self) -> None:
        """Wait for uploads under way."""
        await asyncio.gather(*self._uploads)

    async def abandon(self) -> None:
        """Begin no upload any more, and end the one in hand.

        It gets a while to end by itself: a request that is cut off may still come through, after everything is tidy.
        """
        self._abandoned = True
        if self._uploads:
            _, late = await asyncio.wait(self._uploads, timeout=_LAST_UPLOAD_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def fetch_latest(self, directory: Path) -> None:
        """Download the newest complete checkpoint, if there is one; a damaged one gives way to the one before."""
        for step in reversed(await self._steps()):
            try:
                await fetch_bundle(self._store, f"{self._prefix}/{step}", directory)
                return
            except (Corrupted, NotFound) as error:
                # NotFound: a former worker that has not noticed its end yet may still tidy up.
                log.warning("checkpoint_damaged", prefix=self._prefix, step=step, message=error.message)
                await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    async def forget(self) -> None:
        """Remove them all: the job has ended."""
        await self.abandon()
        await forget_checkpoints(self._store, self._job_id)

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


async def forget_checkpoints(store: ArtifactStore, job_id: str) -> None:
    async for key in store.list(f"{CHECKPOINTS}/{job_id}"):
        await store.delete(key)
