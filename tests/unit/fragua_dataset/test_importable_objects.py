"""Names of objects, as people and other programs write them, and which of them may be imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from fragua_dataset.application.importable_objects import ImportableObjects, StorePlace
from fragua_platform.artifacts.local import LocalArtifactStore
from fragua_platform.errors import InvalidInput, LimitExceeded, NotFound

BUCKET = StorePlace.of("s3://forja?endpoint=http://minio:9000&prefix=fragua/prod")


def objects(folder: Path, place: StorePlace = BUCKET, *allowed: str, limit: int = 100) -> ImportableObjects:
    return ImportableObjects(LocalArtifactStore(folder), place, allowed or ("incoming/",), limit)


@pytest.fixture
async def store(tmp_path: Path) -> Path:
    await LocalArtifactStore(tmp_path).put_bytes("incoming/a/ñ.jsonl", b"{}\n")
    return tmp_path


def test_the_place_of_a_store_is_read_from_its_url() -> None:
    assert StorePlace("forja", "fragua/prod") == BUCKET
    assert StorePlace.of("s3://forja") == StorePlace("forja", "")
    assert StorePlace.of("file:///var/lib/fragua/artifacts") == StorePlace()


@pytest.mark.parametrize("uri", ["incoming/a/ñ.jsonl", "s3://forja/fragua/prod/incoming/a/ñ.jsonl"])
async def test_an_object_is_found_by_key_and_by_uri(uri: str, store: Path) -> None:
    found = await objects(store).find(uri, "")
    assert (found.key, found.size) == ("incoming/a/ñ.jsonl", 3)
    assert await objects(store).find(uri, found.sha256) == found


@pytest.mark.parametrize(
    "uri", ["s3://forja/incoming/a/ñ.jsonl", "s3://otro/fragua/prod/incoming/a/ñ.jsonl", "s3://forja/fragua/prod/../x"]
)
async def test_an_object_outside_of_our_folder_of_the_bucket_is_refused(uri: str, store: Path) -> None:
    with pytest.raises(InvalidInput):
        await objects(store).find(uri, "")


async def test_only_allowed_folders_are_read(store: Path) -> None:
    assert await objects(store, BUCKET, "other", "incoming/a").find("incoming/a/ñ.jsonl", "")
    with pytest.raises(InvalidInput, match="FRAGUA_IMPORT_PREFIXES"):
        await objects(store, BUCKET, "incoming/b").find("incoming/a/ñ.jsonl", "")
    with pytest.raises(InvalidInput, match="none"):
        await objects(store, BUCKET, "", "/").find("incoming/a/ñ.jsonl", "")


async def test_an_object_that_is_missing_too_large_or_empty_is_told(store: Path) -> None:
    await LocalArtifactStore(store).put_bytes("incoming/empty", b"")
    with pytest.raises(NotFound, match="incoming/none"):
        await objects(store).find("incoming/none", "")
    with pytest.raises(LimitExceeded, match="FRAGUA_MAX_UPLOAD_BYTES"):
        await objects(store, limit=2).find("incoming/a/ñ.jsonl", "")
    with pytest.raises(InvalidInput, match="empty"):
        await objects(store).find("incoming/empty", "")
