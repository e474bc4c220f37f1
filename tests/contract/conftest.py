"""One database with the tables of `tests.jobs` for all tests of a module; each test empties it first."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fragua_platform.database import Database
from tests.jobs import create_tables
from tests.servers import PostgresServer


@pytest.fixture(scope="module")
def sqlite_with_tables(tmp_path_factory: pytest.TempPathFactory) -> str:
    return _with_tables(f"sqlite:///{tmp_path_factory.mktemp('sqlite') / 'jobs.db'}")


@pytest.fixture(scope="module")
def postgresql_with_tables(postgres_server: PostgresServer) -> Iterator[str]:
    postgres_server.start()  # a failed test may have left it dead
    url = postgres_server.create_database()
    yield _with_tables(url)
    postgres_server.drop_database(url)


def _with_tables(url: str) -> str:
    database = Database(url)
    create_tables(database)
    database.engine.dispose()
    return url
