"""The trainer's registry under callers that come at the same moment, on SQLite and PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fragua_platform.artifacts.manifest import Bundle, Manifest
from fragua_platform.database import Database
from fragua_platform.paging import page_request
from fragua_trainer.adapters.registry import Registry
from fragua_trainer.adapters.tables import metadata
from fragua_trainer.domain.registry import BaseModel

NAME = "baseModels/tiny/revisions/0123456789abcdef"


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    sqlite = f"sqlite:///{tmp_path / 'trainer.db'}"
    database = Database(sqlite if request.param == "sqlite" else request.getfixturevalue("postgres_url"))
    metadata.create_all(database.engine)
    yield database
    await database.close()


def test_two_imports_of_one_base_model_at_once_are_one_import(database: Database) -> None:
    registry, now = Registry(), datetime.now(UTC)
    bundle = Bundle(manifest=Manifest(prefix="models/base/tiny/0123456789abcdef", files=()), manifest_sha256="0" * 64)
    first = BaseModel(NAME, "llama", bundle, created=now)
    second = replace(first, created=now + timedelta(seconds=1))

    with ThreadPoolExecutor() as other:
        with database.engine.begin() as connection:
            registry.add_base_model(connection, first)
            late = other.submit(database.transact, lambda c: registry.add_base_model(c, second))
            time.sleep(0.3)  # the second one has looked by now, or waits for its turn

        assert late.result() == first
    assert database.transact(lambda c: registry.base_models(c, page_request(10, "", key_length=1))).items == [first]
