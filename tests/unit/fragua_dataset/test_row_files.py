"""Files of versions on this machine: verified once, read by many, and gone when others need the room."""

from __future__ import annotations

import asyncio
import gc
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fragua_dataset.application.row_files import RowFiles
from fragua_platform.artifacts.local import LocalArtifactStore
from fragua_platform.artifacts.manifest import ManifestFile
from fragua_platform.artifacts.store import ArtifactRef
from fragua_platform.errors import Corrupted, NotFound


class CountingStore(LocalArtifactStore):
    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reads: list[str] = []

    async def read(self, ref: ArtifactRef, *, offset: int = 0) -> AsyncIterator[bytes]:
        self.reads.append(ref.key)
        async for chunk in super().read(ref, offset=offset):
            yield chunk


@pytest.fixture
def store(tmp_path: Path) -> CountingStore:
    return CountingStore(tmp_path / "artifacts")


async def stored(store: CountingStore, key: str, content: bytes) -> ManifestFile:
    await store.put_bytes(key, content)
    return ManifestFile(name=key, key=key, size=len(content), sha256=hashlib.sha256(content).hexdigest())


def open_files() -> int:
    gc.collect()
    return sum(1 for _ in Path("/dev/fd").iterdir())


async def test_readers_at_once_share_one_fetch_and_have_places_of_their_own(
    store: CountingStore, tmp_path: Path
) -> None:
    file = await stored(store, "a", b"uno\ndos\ntres\n")
    files = RowFiles(store, tmp_path / "rows", 100)
    first, second = await asyncio.gather(files.open(file), files.open(file))
    assert first.readline() == b"uno\n"
    assert second.readlines() == [b"uno\n", b"dos\n", b"tres\n"]
    second.seek(4)
    assert (first.readline(), second.readline()) == (b"dos\n", b"dos\n")
    assert store.reads == ["a"]
    assert list((tmp_path / "rows").iterdir()) == [], "what has no name cannot be left behind"
    first.close()
    second.close()


async def test_the_longest_unused_file_goes_and_its_readers_read_on(store: CountingStore, tmp_path: Path) -> None:
    a, b, c = [await stored(store, key, key.encode() * 40) for key in "abc"]
    files = RowFiles(store, tmp_path / "rows", 100)
    reader = await files.open(a)
    for file in (b, a, c):  # no room for three: b is the one that nobody asked for longest
        (await files.open(file)).close()
    (await files.open(a)).close()
    assert store.reads == ["a", "b", "c"]
    (await files.open(b)).close()
    assert store.reads == ["a", "b", "c", "b"]
    assert reader.read() == b"a" * 40
    reader.close()


async def test_a_file_beyond_all_room_is_held_alone(store: CountingStore, tmp_path: Path) -> None:
    before = open_files()
    small, large = await stored(store, "s", b"s" * 50), await stored(store, "l", b"l" * 500)
    files = RowFiles(store, tmp_path / "rows", 100)
    for file in (small, large, large, small):
        (await files.open(file)).close()
    assert store.reads == ["s", "l", "s"]
    assert open_files() == before + 1


async def test_what_failed_is_tried_again(store: CountingStore, tmp_path: Path) -> None:
    file = ManifestFile(name="a", key="a", size=3, sha256=hashlib.sha256(b"abc").hexdigest())
    files = RowFiles(store, tmp_path / "rows", 100)
    with pytest.raises(NotFound):
        await files.open(file)
    await store.put_bytes("a", b"abx")
    with pytest.raises(Corrupted):
        await files.open(file)
    await store.delete("a")
    await store.put_bytes("a", b"abc")
    with await files.open(file) as reader:
        assert reader.read() == b"abc"


async def test_a_client_that_leaves_does_not_end_the_fetch(store: CountingStore, tmp_path: Path) -> None:
    file = await stored(store, "a", b"a" * 5_000_000)
    files = RowFiles(store, tmp_path / "rows", 100)
    impatient = asyncio.create_task(files.open(file))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    with await files.open(file) as reader:
        assert len(reader.read()) == 5_000_000
    assert store.reads == ["a"]
