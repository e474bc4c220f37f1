"""Where integration tests of the job machinery run: embedded, and on real servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.counting.service import CountingSettings
from tests.integration.counting_site import LEASE, Site
from tests.servers import S3Server


@pytest.fixture
def embedded(tmp_path: Path) -> Site:
    return Site(CountingSettings.load(data_dir=tmp_path, lease_seconds=LEASE, drain_seconds=15))


@pytest.fixture
def on_servers(tmp_path: Path, nats_url: str, postgres_url: str, s3_url: str, s3_server: S3Server) -> Site:
    site = Site(
        CountingSettings.load(
            data_dir=tmp_path,
            database_url=postgres_url,
            artifacts_url=s3_url,
            artifacts_access_key=s3_server.access_key,
            artifacts_secret_key=s3_server.secret_key,
            events_url=nats_url,
            lease_seconds=LEASE,
            drain_seconds=15,
        )
    )
    site.migrate()
    return site


@pytest.fixture(params=["embedded", "on_servers"])
def site(request: pytest.FixtureRequest) -> Site:
    found: Site = request.getfixturevalue(request.param)
    return found
