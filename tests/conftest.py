"""Fixtures that every tier may ask for: one real server of each kind per session, something fresh in it per test.

Where a server is missing the tests that need it are skipped, loudly; in CI, or with FRAGUA_REQUIRE_SERVERS=1, they fail.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TypeVar

import pytest

from tests.servers import NatsServer, PostgresServer, S3Server, Server, ServerMissing

AnyServer = TypeVar("AnyServer", bound=Server)


@pytest.fixture(scope="session")
def nats_server() -> Iterator[NatsServer]:
    yield from _running(NatsServer)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    yield from _running(PostgresServer)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    yield from _running(S3Server)


@pytest.fixture
def nats_url(nats_server: NatsServer) -> str:
    """A NATS server without streams."""
    nats_server.clear()
    return nats_server.url


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A fresh, empty database."""
    postgres_server.start()  # a failed test may have left it dead
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def s3_bucket(s3_server: S3Server) -> str:
    """A fresh, empty bucket."""
    s3_server.start()  # a failed test may have left it dead
    return s3_server.create_bucket()


@pytest.fixture
def s3_url(s3_server: S3Server, s3_bucket: str) -> str:
    """The artifacts URL of a fresh bucket; the keys are `s3_server.access_key` and `s3_server.secret_key`."""
    return s3_server.url_of(s3_bucket)


def _running(kind: type[AnyServer]) -> Iterator[AnyServer]:
    try:
        server = kind()
    except ServerMissing as missing:
        if os.environ.get("CI") == "true" or os.environ.get("FRAGUA_REQUIRE_SERVERS") == "1":
            pytest.fail(str(missing))
        pytest.skip(str(missing))
    with server:
        yield server
