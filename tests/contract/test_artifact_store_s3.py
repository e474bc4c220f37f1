"""What only the S3 store has: a bucket, credentials, links to another host, and parts that must not fill the memory."""

from __future__ import annotations

import asyncio
import tracemalloc
import urllib.request
from datetime import timedelta
from pathlib import Path
from urllib.error import HTTPError

import pytest

from fragua_platform.artifacts.open import open_artifact_store
from fragua_platform.artifacts.s3 import PART_SIZE
from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.errors import FailedPrecondition
from tests.servers import S3Server


def opened(server: S3Server, url: str, secret_key: str | None = None) -> ArtifactStore:
    return open_artifact_store(url, access_key=server.access_key, secret_key=secret_key or server.secret_key)


def download(link: str) -> bytes:
    with urllib.request.urlopen(link) as response:
        return bytes(response.read())


async def test_a_missing_bucket_is_made_by_whoever_comes_first(s3_server: S3Server) -> None:
    stores = [opened(s3_server, s3_server.url_of("made-when-needed")) for _ in range(4)]

    await asyncio.gather(*(store.check() for store in stores))
    await stores[0].put_bytes("key", b"1")

    assert await stores[1].get_bytes("key") == b"1"


async def test_two_stores_share_a_bucket_by_their_prefixes(s3_server: S3Server, s3_url: str) -> None:
    ours, theirs = (opened(s3_server, f"{s3_url}&prefix={prefix}") for prefix in ("fragua", "fragua-2"))
    await ours.put_bytes("a/b", b"ours")
    await theirs.put_bytes("a/b", b"theirs")

    assert [key async for key in ours.list("")] == ["a/b"]
    assert await ours.get_bytes("a/b") == b"ours"


@pytest.mark.parametrize("access_key", [S3Server.access_key, "somebody-else"])
async def test_refused_credentials_name_the_settings_and_never_the_secret(
    s3_server: S3Server, s3_url: str, access_key: str
) -> None:
    store = open_artifact_store(s3_url, access_key=access_key, secret_key="not-the-secret")

    for request in (store.check(), store.put_bytes("key", b"1"), store.get_bytes("key")):
        with pytest.raises(FailedPrecondition, match="FRAGUA_ARTIFACTS_SECRET_KEY") as refused:
            await request
        assert "not-the-secret" not in str(refused.value)


async def test_links_lead_to_the_public_endpoint(s3_server: S3Server, s3_url: str) -> None:
    public = f"http://localhost:{s3_server.port}"
    store = opened(s3_server, f"{s3_url}&public_endpoint={public}")
    await store.put_bytes("key", b"1")

    link = await store.presign_download("key", timedelta(minutes=1))

    assert link.startswith(public)
    assert await asyncio.to_thread(download, link) == b"1"
    with pytest.raises(HTTPError, match="403"):
        await asyncio.to_thread(download, link.replace("X-Amz-Signature=", "X-Amz-Signature=0"))


async def test_memory_does_not_grow_with_the_file(s3_server: S3Server, s3_url: str, tmp_path: Path) -> None:
    store = opened(s3_server, s3_url)
    source = tmp_path / "weights"
    with source.open("wb") as file:
        file.truncate(4 * PART_SIZE)

    tracemalloc.start()
    try:
        ref = await store.put_file("weights", source)
        await store.get_file(ref, tmp_path / "fetched")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 3 * PART_SIZE
