"""The URL decides which artifact store opens; one that can never work is refused with every reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from fragua_platform.artifacts.local import LocalArtifactStore
from fragua_platform.artifacts.open import open_artifact_store
from fragua_platform.artifacts.s3 import S3ArtifactStore
from fragua_platform.errors import InvalidInput

KEYS = {"access_key": "key", "secret_key": "hidden"}


async def test_a_file_url_opens_a_folder_and_makes_it(tmp_path: Path) -> None:
    store = open_artifact_store(f"file://{tmp_path}/dise%C3%B1o%201")

    await store.put_bytes("key", b"1")

    assert isinstance(store, LocalArtifactStore)
    assert (tmp_path / "diseño 1" / "key").read_bytes() == b"1"


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket",
        "s3://bucket?endpoint=http://127.0.0.1:9000",
        "s3://bucket?endpoint=https://minio.example:9000/&region=eu-west-1&prefix=a/b/&public_endpoint=https://s3.example",
    ],
)
def test_an_s3_url_opens_a_bucket_without_asking_the_server(url: str) -> None:
    assert isinstance(open_artifact_store(url, **KEYS), S3ArtifactStore)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "scheme ''"),
        ("/var/lib/fragua", "scheme ''"),
        ("gs://bucket", "scheme 'gs'"),
        ("file://relative/path", "absolute path"),
        ("file:relative", "absolute path"),
        ("file:///a?b=c", "absolute path"),
        ("s3://", "bucket is missing"),
        ("s3://Not_A_Bucket!", "not a bucket's name"),
        ("s3://bucket/folder", "say prefix="),
        ("s3://bucket?endpiont=http://h", "endpiont is not one of endpoint, region"),
        ("s3://bucket?endpoint=minio:9000", "endpoint is not http://host:port"),
        ("s3://bucket?endpoint=http://h/path", "endpoint is not http://host:port"),
        ("s3://bucket?endpoint=http://h:99999", "endpoint is not http://host:port"),
        ("s3://bucket?region=-", "region is not the name"),
        ("s3://bucket?prefix=../a", r"prefix has a segment \. or \.\."),
        ("s3://[bucket", "cannot be read"),
    ],
)
def test_other_urls_are_refused_with_the_reason(url: str, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        open_artifact_store(url, **KEYS)


def test_all_problems_are_told_together_and_no_secret() -> None:
    with pytest.raises(InvalidInput) as refused:
        open_artifact_store("s3://key:hidden@bucket/folder?endpoint=x&regoin=y")

    assert {violation.field for violation in refused.value.violations} == {
        "url", "endpoint", "regoin", "access_key, secret_key",
    }  # fmt: skip
    assert "hidden" not in str(refused.value)
