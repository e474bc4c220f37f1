"""Writers of artifacts that race, are killed or give up: on every store exactly one wins, and nobody sees a part."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fragua_platform.artifacts.store import ArtifactRef, ArtifactStore
from fragua_platform.errors import (
    AlreadyExists,
    NotFound,
)
from tests.contract.artifact_places import (
    KINDS,
    ArtifactPlace,
    S3Place,
    a_file,
    artifact_place,
    content_of,
    keys_of,
)
from tests.servers import S3Server

MIB = 1024 * 1024
MULTIPART = 40 * MIB

WRITER = """
import asyncio, sys
from pathlib import Path
from fragua_platform.artifacts.open import open_artifact_store

url, access_key, secret_key, key, source = sys.argv[1:]
store = open_artifact_store(url, access_key=access_key, secret_key=secret_key)
asyncio.run(store.put_file(key, Path(source)))
"""


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactPlace:
    return artifact_place(request, tmp_path)


@pytest.fixture
def store(place: ArtifactPlace) -> ArtifactStore:
    return place.open()


def kill_a_writer_midway(place: ArtifactPlace, key: str, source: Path) -> None:
    with source.open("wb") as file:
        file.truncate(128 * MIB)
    arguments = (place.url, place.access_key, place.secret_key, key, str(source))
    writer = subprocess.Popen([sys.executable, "-c", WRITER, *arguments])
    while not place.unfinished():
        assert writer.poll() is None, "the writer ended before it could be killed"
        time.sleep(0.002)
    writer.kill()
    assert writer.wait() == -signal.SIGKILL


@pytest.mark.parametrize("size", [100, 17 * MIB], ids=["small", "multipart"])
async def test_of_two_writers_exactly_one_wins(place: ArtifactPlace, tmp_path: Path, size: int) -> None:
    sources = [a_file(tmp_path / str(seed), size, seed) for seed in range(2)]

    for attempt in range(20 if size < MIB else 2):
        key = f"race/{attempt}"
        outcomes = await asyncio.gather(
            *(place.open().put_file(key, source) for source in sources), return_exceptions=True
        )

        (winner,) = (outcome for outcome in outcomes if isinstance(outcome, ArtifactRef))
        assert any(isinstance(outcome, AlreadyExists) for outcome in outcomes)
        assert await content_of(place.open(), winner) == sources[outcomes.index(winner)].read_bytes()
    assert place.unfinished() == []


async def test_readers_see_nothing_or_the_whole_of_what_is_being_written(place: ArtifactPlace, tmp_path: Path) -> None:
    source = a_file(tmp_path / "weights", MULTIPART)
    reader = place.open()
    writing = asyncio.create_task(place.open().put_file("weights", source))

    looks_in_vain = 0
    while not writing.done():
        try:
            assert (await reader.stat("weights")).size == MULTIPART
        except NotFound:
            looks_in_vain += 1

    assert looks_in_vain > 0
    assert await content_of(reader, await writing) == source.read_bytes()


async def test_a_killed_writer_leaves_nothing_to_see(
    store: ArtifactStore, place: ArtifactPlace, tmp_path: Path
) -> None:
    kill_a_writer_midway(place, "weights", tmp_path / "source")

    assert await keys_of(store) == []
    with pytest.raises(NotFound):
        await store.stat("weights")
    ref = await store.put_file("weights", a_file(tmp_path / "other", 17 * MIB))
    assert await content_of(store, ref) == (tmp_path / "other").read_bytes()


async def test_a_cancelled_upload_is_aborted(s3_server: S3Server, tmp_path: Path) -> None:
    place = S3Place(s3_server)
    store = place.open()
    writing = asyncio.create_task(store.put_file("weights", a_file(tmp_path / "weights", MULTIPART)))
    while not await asyncio.to_thread(place.unfinished):
        pass
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing

    assert await keys_of(store) == []
    assert place.unfinished() == []
