"""What every artifact store guarantees, held against both: a folder, and a bucket of an S3 server."""

from __future__ import annotations

import asyncio
import hashlib
import urllib.request
from datetime import timedelta
from pathlib import Path

import pytest

from fragua_platform.artifacts.store import ArtifactRef, ArtifactStore
from fragua_platform.errors import (
    AlreadyExists,
    Corrupted,
    FailedPrecondition,
    InvalidInput,
    LimitExceeded,
    NotFound,
    Unavailable,
)
from tests.contract.artifact_places import (
    KINDS,
    ArtifactPlace,
    LocalPlace,
    a_file,
    artifact_place,
    content_of,
    keys_of,
)

MIB = 1024 * 1024
MULTIPART = 40 * MIB


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactPlace:
    return artifact_place(request, tmp_path)


@pytest.fixture
def store(place: ArtifactPlace) -> ArtifactStore:
    return place.open()


async def receive(store: ArtifactStore, ref: ArtifactRef, received: bytearray) -> None:
    async for chunk in store.read(ref):
        received += chunk


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def download(link: str) -> bytes:
    with urllib.request.urlopen(link) as response:
        return bytes(response.read())


async def test_bytes_come_back_as_they_were_put(store: ArtifactStore) -> None:
    ref = await store.put_bytes("models/lora/tutor/3/manifest.json", b'{"a": 1}')

    assert ref == ArtifactRef("models/lora/tutor/3/manifest.json", 8, hashlib.sha256(b'{"a": 1}').hexdigest())
    assert await store.get_bytes(ref.key) == b'{"a": 1}'
    assert await store.get_bytes(ref.key, sha256=ref.sha256) == b'{"a": 1}'
    assert await store.stat(ref.key) == ref
    assert await content_of(store, ref) == b'{"a": 1}'


async def test_an_empty_object_is_an_object(store: ArtifactStore, tmp_path: Path) -> None:
    ref = await store.put_file("empty", a_file(tmp_path / "empty", 0))

    assert await store.get_bytes("empty") == b""
    assert await content_of(store, ref) == b""
    await store.get_file(ref, tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == b""


async def test_names_in_any_language(store: ArtifactStore) -> None:
    key = "ramas/año 1/diseño/größe+50%/模型 #1?.jsonl"
    await store.put_bytes(key, "ñandú".encode())

    assert await keys_of(store, "ramas") == [key]
    assert (await store.get_bytes(key)).decode() == "ñandú"


async def test_a_large_file_comes_back_whole_and_from_any_offset(
    store: ArtifactStore, place: ArtifactPlace, tmp_path: Path
) -> None:
    source = a_file(tmp_path / "weights", MULTIPART)
    ref = await store.put_file("weights.safetensors", source)
    assert (ref.size, ref.sha256) == (MULTIPART, hashlib.sha256(source.read_bytes()).hexdigest())

    await store.get_file(ref, tmp_path / "new folder" / "fetched")

    assert (tmp_path / "new folder" / "fetched").read_bytes() == source.read_bytes()
    assert await content_of(store, ref, offset=17 * MIB + 3) == source.read_bytes()[17 * MIB + 3 :]
    assert await content_of(store, ref, offset=MULTIPART) == b""
    assert max([len(chunk) async for chunk in store.read(ref)]) <= MIB
    assert await store.stat(ref.key) == ref
    assert place.unfinished() == []


async def test_the_same_bytes_may_be_put_again(store: ArtifactStore, tmp_path: Path) -> None:
    small = await store.put_bytes("small", b"same")
    large = await store.put_file("large", a_file(tmp_path / "large", 17 * MIB))

    assert await store.put_bytes("small", b"same") == small
    assert await store.put_file("large", tmp_path / "large") == large


async def test_a_file_is_handed_over_and_may_be_deleted(store: ArtifactStore, tmp_path: Path) -> None:
    content = a_file(tmp_path / "original", MIB).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    for _ in range(2):
        source = a_file(tmp_path / "subida", MIB)
        assert await store.move_file("subidas/uno", source, sha256=digest) == ArtifactRef("subidas/uno", MIB, digest)
        source.unlink()
    assert await store.get_bytes("subidas/uno", sha256=digest) == content
    with pytest.raises(AlreadyExists):
        other = a_file(tmp_path / "otra", MIB, seed=1)
        await store.move_file("subidas/uno", other, sha256=hashlib.sha256(other.read_bytes()).hexdigest())
    assert await store.get_bytes("subidas/uno", sha256=digest) == content
    with pytest.raises(InvalidInput):
        await store.move_file("subidas/dos", tmp_path / "nada", sha256=digest)


async def test_other_bytes_never_replace_an_object(store: ArtifactStore, place: ArtifactPlace, tmp_path: Path) -> None:
    ref = await store.put_bytes("key", b"first")

    with pytest.raises(AlreadyExists, match="key already exists with other bytes"):
        await place.open().put_bytes("key", b"other")
    with pytest.raises(AlreadyExists, match="key already exists with other bytes"):
        await place.open().put_file("key", a_file(tmp_path / "large", 17 * MIB))

    assert await store.get_bytes("key", sha256=ref.sha256) == b"first"
    assert place.unfinished() == []


@pytest.mark.parametrize(
    "tampered", [b"wrong bytes", b"short", b"longer than before"], ids=["same size", "shorter", "longer"]
)
async def test_tampered_objects_are_refused(
    store: ArtifactStore, place: ArtifactPlace, tmp_path: Path, tampered: bytes
) -> None:
    ref = await store.put_bytes("adapter", b"right bytes")
    place.overwrite("adapter", tampered)

    with pytest.raises(Corrupted, match="adapter"):
        await content_of(store, ref)
    with pytest.raises(Corrupted, match="adapter"):
        await store.get_file(ref, tmp_path / "inputs" / "adapter")
    with pytest.raises(Corrupted, match="adapter"):
        await store.get_bytes("adapter", sha256=ref.sha256)
    assert names_in(tmp_path / "inputs") == []


async def test_a_stream_ends_before_its_last_bytes_when_they_are_wrong(
    store: ArtifactStore, place: ArtifactPlace, tmp_path: Path
) -> None:
    content = bytearray(a_file(tmp_path / "weights", 2 * MIB).read_bytes())
    ref = await store.put_bytes("weights", bytes(content))
    content[-1] ^= 1
    place.overwrite("weights", bytes(content))

    received = bytearray()
    with pytest.raises(Corrupted):
        await receive(store, ref, received)

    assert len(received) < ref.size


@pytest.mark.parametrize("size", [3, 30], ids=["truncated before the offset", "longer than it was"])
async def test_a_resumed_read_notices_another_size(store: ArtifactStore, place: ArtifactPlace, size: int) -> None:
    ref = await store.put_bytes("log", b"0123456789")
    place.overwrite("log", b"x" * size)

    for offset in (5, 10):
        with pytest.raises(Corrupted):
            await content_of(store, ref, offset=offset)


async def test_offsets_outside_of_the_object_are_refused(store: ArtifactStore) -> None:
    ref = await store.put_bytes("log", b"0123456789")

    for offset in (-1, 11):
        with pytest.raises(InvalidInput, match="10 bytes"):
            await content_of(store, ref, offset=offset)


async def test_what_is_not_there_is_not_found(store: ArtifactStore, tmp_path: Path) -> None:
    absent = ArtifactRef("a/b", 1, "0" * 64)
    await store.put_bytes("a/other", b"1")

    for key in ("a/b", "a"):
        with pytest.raises(NotFound, match=key):
            await store.get_bytes(key)
        with pytest.raises(NotFound, match=key):
            await store.stat(key)
    with pytest.raises(NotFound):
        await content_of(store, absent)
    with pytest.raises(NotFound):
        await store.get_file(absent, tmp_path / "inputs" / "b")
    assert names_in(tmp_path / "inputs") == []


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "a\\b", "a\nb", ".incoming/x"])
async def test_keys_that_are_no_plain_paths_are_refused(store: ArtifactStore, tmp_path: Path, key: str) -> None:
    with pytest.raises(InvalidInput, match="artifact key"):
        await store.put_bytes(key, b"1")
    with pytest.raises(InvalidInput, match="artifact key"):
        await store.put_file(key, a_file(tmp_path / "source", 1))
    with pytest.raises(InvalidInput, match="artifact key"):
        await store.get_bytes(key)
    with pytest.raises(InvalidInput, match="artifact key"):
        await content_of(store, ArtifactRef(key, 1, "0" * 64))
    with pytest.raises(InvalidInput, match="artifact key"):
        await store.delete(key)
    assert await keys_of(store) == []


async def test_a_small_read_has_its_limit(store: ArtifactStore) -> None:
    await store.put_bytes("manifest", b"12345")

    assert await store.get_bytes("manifest", limit=5) == b"12345"
    with pytest.raises(LimitExceeded, match="4 bytes"):
        await store.get_bytes("manifest", limit=4)


async def test_a_source_that_cannot_be_read_is_named(store: ArtifactStore, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"absent\.gguf"):
        await store.put_file("key", tmp_path / "absent.gguf")


async def test_list_gives_the_keys_below_a_folder_in_order(store: ArtifactStore) -> None:
    keys = ["a/b/2", "a/b.txt", "a/b/10", "a/ñ", "a/z", "ab/1", "b"]
    for key in keys:
        await store.put_bytes(key, key.encode())

    assert await keys_of(store, "a") == ["a/b.txt", "a/b/10", "a/b/2", "a/z", "a/ñ"]
    assert await keys_of(store, "a/b/") == ["a/b/10", "a/b/2"]
    assert await keys_of(store) == sorted(keys)
    assert await keys_of(store, "absent") == []


async def test_deleted_objects_are_gone_and_deleting_again_is_fine(store: ArtifactStore) -> None:
    await store.put_bytes("a/b", b"1")

    await store.delete("a/b")
    await store.delete("a/b")
    await store.delete("never/there")

    assert await keys_of(store) == []
    await store.put_bytes("a/b", b"other bytes")
    assert await store.get_bytes("a/b") == b"other bytes"


async def test_a_link_downloads_without_credentials_where_the_store_has_links(
    store: ArtifactStore, place: ArtifactPlace
) -> None:
    await store.put_bytes("modelos/año.gguf", b"GGUF")
    if isinstance(place, LocalPlace):
        with pytest.raises(FailedPrecondition, match="FRAGUA_ARTIFACTS_URL"):
            await store.presign_download("modelos/año.gguf", timedelta(minutes=1))
        return

    link = await store.presign_download("modelos/año.gguf", timedelta(minutes=1))

    assert await asyncio.to_thread(download, link) == b"GGUF"
    with pytest.raises(NotFound):
        await store.presign_download("absent", timedelta(minutes=1))
    with pytest.raises(InvalidInput, match="7 days"):
        await store.presign_download("modelos/año.gguf", timedelta(days=8))


async def test_a_store_that_is_away_is_unavailable_until_it_is_back(
    store: ArtifactStore, place: ArtifactPlace, tmp_path: Path
) -> None:
    ref = await store.put_bytes("key", b"1")
    await store.check()

    with place.away():
        with pytest.raises(Unavailable):
            await store.check()
        with pytest.raises(Unavailable):
            await store.put_bytes("other", b"1")
        with pytest.raises(Unavailable):
            await store.get_file(ref, tmp_path / "fetched")
        with pytest.raises(Unavailable):
            await keys_of(store)

    await store.check()
    assert await content_of(store, ref) == b"1"
