"""A folder published as one: whole or invisible, whoever dies or races, on every artifact store."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from fragua_platform.artifacts.bundle import fetch_bundle, find_bundle, load_bundle, publish_bundle
from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.errors import Corrupted, NotFound
from tests.contract.artifact_places import KINDS, ArtifactPlace, artifact_place

PREFIX = "models/lora/tutor/3"


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactPlace:
    return artifact_place(request, tmp_path)


@pytest.fixture
def store(place: ArtifactPlace) -> ArtifactStore:
    return place.open()


def folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def contents(path: Path) -> dict[str, bytes]:
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}


async def keys_below(store: ArtifactStore) -> set[str]:
    return {key async for key in store.list(PREFIX)}


async def test_a_published_folder_is_fetched_as_it_was(store: ArtifactStore, tmp_path: Path) -> None:
    files = {"adapter_config.json": b"{}", "diseño/año.txt": "ñandú".encode(), ".gitattributes": b"*", "empty": b""}

    published = await publish_bundle(store, PREFIX, folder(tmp_path / "outputs", files), {"job": "j-1"})
    fetched = await fetch_bundle(store, PREFIX, tmp_path / "inputs", manifest_sha256=published.manifest_sha256)

    assert contents(tmp_path / "inputs") == files
    assert fetched == published == await find_bundle(store, PREFIX)
    assert published.manifest.provenance == {"job": "j-1"}
    assert {file.key for file in published.manifest.files} == {f"{PREFIX}/{name}" for name in files}
    with pytest.raises(NotFound, match=r"no file 'model\.gguf'; it has .*adapter_config\.json"):
        published.manifest.file("model.gguf")


async def test_publishing_again_returns_what_is_published(store: ArtifactStore, tmp_path: Path) -> None:
    first = await publish_bundle(store, PREFIX, folder(tmp_path / "first", {"weights": b"first"}))

    assert await publish_bundle(store, PREFIX, folder(tmp_path / "second", {"weights": b"second"})) == first
    assert [key async for key in store.list(PREFIX)] == [f"{PREFIX}/manifest.json", f"{PREFIX}/weights"]


async def test_without_its_manifest_a_folder_is_not_there(store: ArtifactStore, tmp_path: Path) -> None:
    await store.put_bytes(f"{PREFIX}/weights", b"of a writer that died")

    assert await find_bundle(store, PREFIX) is None
    with pytest.raises(NotFound):
        await load_bundle(store, PREFIX)


async def test_leftovers_of_a_dead_writer_neither_block_nor_show_nor_stay(store: ArtifactStore, tmp_path: Path) -> None:
    await store.put_bytes(f"{PREFIX}/same", b"same")
    await store.put_bytes(f"{PREFIX}/weights", b"of a writer that died")
    files = {"same": b"same", "weights": b"of its successor"}

    published = await publish_bundle(store, PREFIX, folder(tmp_path / "outputs", files))

    await fetch_bundle(store, PREFIX, tmp_path / "inputs")
    assert contents(tmp_path / "inputs") == files
    assert published.manifest.file("same").key == f"{PREFIX}/same"
    assert await keys_below(store) == {f"{PREFIX}/manifest.json"} | {file.key for file in published.manifest.files}


async def test_a_writer_that_comes_too_late_removes_what_it_and_others_left(
    store: ArtifactStore, tmp_path: Path
) -> None:
    published = await publish_bundle(store, PREFIX, folder(tmp_path / "first", {"weights": b"first"}))
    await store.put_bytes(f"{PREFIX}/retry-0a1b2c3d/weights", b"of a writer that died")
    await store.put_bytes(f"{PREFIX}0/weights", b"of adapter 30, which is another folder")

    assert await publish_bundle(store, PREFIX, folder(tmp_path / "second", {"weights": b"second"})) == published

    assert await keys_below(store) == {f"{PREFIX}/manifest.json", f"{PREFIX}/weights"}
    assert await store.get_bytes(f"{PREFIX}0/weights") == b"of adapter 30, which is another folder"


async def test_racing_publishers_end_with_one_bundle(place: ArtifactPlace, tmp_path: Path) -> None:
    racers = [{"weights": f"of racer {number}".encode() * 1000, "config": b"{}"} for number in range(4)]
    folders = [folder(tmp_path / str(number), files) for number, files in enumerate(racers)]

    bundles = await asyncio.gather(*(publish_bundle(place.open(), PREFIX, outputs) for outputs in folders))

    assert len({bundle.manifest_sha256 for bundle in bundles}) == 1
    assert await fetch_bundle(place.open(), PREFIX, tmp_path / "inputs") == bundles[0]
    assert contents(tmp_path / "inputs") in racers
    store = place.open()
    assert await keys_below(store) == {f"{PREFIX}/manifest.json"} | {file.key for file in bundles[0].manifest.files}


async def test_a_tampered_file_is_refused(store: ArtifactStore, place: ArtifactPlace, tmp_path: Path) -> None:
    await publish_bundle(store, PREFIX, folder(tmp_path / "outputs", {"config": b"{}", "weights": b"right"}))
    place.overwrite(f"{PREFIX}/weights", b"wrong")

    with pytest.raises(Corrupted, match="weights"):
        await fetch_bundle(store, PREFIX, tmp_path / "inputs")
    assert contents(tmp_path / "inputs") == {"config": b"{}"}


async def test_a_pinned_manifest_that_changed_is_refused(
    store: ArtifactStore, place: ArtifactPlace, tmp_path: Path
) -> None:
    published = await publish_bundle(store, PREFIX, folder(tmp_path / "outputs", {"config": b"{}"}))
    place.overwrite(f"{PREFIX}/manifest.json", published.manifest.model_dump_json(indent=2).encode())

    with pytest.raises(Corrupted, match=r"manifest\.json"):
        await fetch_bundle(store, PREFIX, tmp_path / "inputs", manifest_sha256=published.manifest_sha256)


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "", "."])
async def test_a_manifest_that_names_files_outside_of_its_folder_is_refused(
    store: ArtifactStore, tmp_path: Path, name: str
) -> None:
    ref = await store.put_bytes(f"{PREFIX}/x", b"evil")
    file = {"name": name, "key": ref.key, "size": ref.size, "sha256": ref.sha256}
    await store.put_bytes(f"{PREFIX}/manifest.json", json.dumps({"prefix": PREFIX, "files": [file]}).encode())

    with pytest.raises(Corrupted, match=r"files\.0\.name"):
        await fetch_bundle(store, PREFIX, tmp_path / "inputs")
    assert "x" not in {path.rsplit("/")[-1] for path in contents(tmp_path) if "almacén" not in path}


@pytest.mark.parametrize("content", [b"", b"{}", b"not json", b'{"prefix": "models/other", "files": []}'])
async def test_what_is_no_manifest_of_this_folder_is_refused(store: ArtifactStore, content: bytes) -> None:
    await store.put_bytes(f"{PREFIX}/manifest.json", content)

    with pytest.raises(Corrupted, match=f"{PREFIX}/manifest.json"):
        await load_bundle(store, PREFIX)
