"""Uploads that break off and go on at another replica, on every artifact store."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fragua_dataset.application.upload_parts import PART_BYTES, UploadParts, forget_parts
from fragua_dataset.application.uploads import KEPT_FOR, Announcement, Uploads
from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.errors import NotFound
from tests.contract.artifact_places import KINDS, artifact_place

DATASET = "branches/tutor/datasets/d"
CONTENT = random.Random(1).randbytes(PART_BYTES + 3_000_000)


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    return artifact_place(request, tmp_path / "store").open()


def announced(offset: int = 0) -> Announcement:
    digest = hashlib.sha256(CONTENT).hexdigest()
    return Announcement(DATASET, "una", len(CONTENT), digest, resumable=True, offset=offset)


async def chunks(begin: int, end: int) -> AsyncIterator[bytes]:
    for start in range(begin, end, 2**20):
        yield CONTENT[start : min(start + 2**20, end)]


async def chunks_of_a_client_that_vanishes(end: int) -> AsyncIterator[bytes]:
    async for chunk in chunks(0, end):
        yield chunk
    raise asyncio.CancelledError


async def keys(store: ArtifactStore, folder: str) -> list[str]:
    return [key async for key in store.list(folder)]


async def test_an_upload_goes_on_at_another_replica(store: ArtifactStore, tmp_path: Path) -> None:
    one, other = (Uploads(store, tmp_path / replica, 2**30) for replica in ("one", "other"))
    end = PART_BYTES + 1_234_567
    with pytest.raises(asyncio.CancelledError):
        await one.receive(announced(), chunks_of_a_client_that_vanishes(end))

    kept = await other.kept(DATASET, "una")
    source = await other.receive(announced(kept.received_bytes), chunks(kept.received_bytes, len(CONTENT)))

    assert kept.received_bytes == end
    assert timedelta() < KEPT_FOR - (kept.expires - datetime.now(UTC)) < timedelta(minutes=1)
    assert (source.size, source.sha256) == (len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    assert await keys(store, "uploads") == [source.key]
    assert await keys(store, "partial-uploads") == []
    with pytest.raises(NotFound):
        await one.kept(DATASET, "una")
    assert not [path for replica in ("one", "other") for path in (tmp_path / replica).iterdir()]


async def test_parts_are_forgotten_a_day_after_the_last_one_came(store: ArtifactStore) -> None:
    now = datetime.now(UTC)
    abandoned, going_on = (UploadParts(store, DATASET, request_id) for request_id in ("una", "otra"))
    await abandoned.put(0, b"abc", now - timedelta(hours=30))
    await going_on.put(0, b"abc", now - timedelta(hours=30))
    await going_on.put(3, b"def", now - timedelta(hours=2))

    assert await forget_parts(store, now - timedelta(days=1)) == 1

    assert await abandoned.all() == []
    assert [(part.begin, part.end) for part in await going_on.all()] == [(0, 3), (3, 6)]


async def test_parts_of_streams_that_overlap_are_put_together(store: ArtifactStore) -> None:
    parts = UploadParts(store, DATASET, "una")
    now = datetime.now(UTC)
    await parts.put(0, b"abcd", now)
    await parts.put(2, b"cdefg", now)
    await parts.put(9, b"j", now)
    assert [piece async for piece in parts.read(6)] == [b"abcd", b"ef"]
    assert (await parts.all())[-1].end == 7, "what lies behind a gap is of no use"
