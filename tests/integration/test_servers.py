"""The test servers are real: they check credentials and lose nothing when they are killed."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from io import BytesIO
from pathlib import Path
from urllib.request import urlopen

import nats
import psycopg
import pytest
from minio.error import S3Error

from tests.servers import NatsServer, PostgresServer, S3Server
from tests.servers.process import REPOSITORY, listens


def put(server: S3Server, name: str, content: bytes) -> None:
    server.client().put_object(server.bucket, name, BytesIO(content), len(content))


def test_s3_refuses_a_wrong_secret(s3_server: S3Server) -> None:
    with pytest.raises(S3Error) as refused:
        s3_server.client(secret_key="not-the-secret").list_buckets()
    assert refused.value.code == "SignatureDoesNotMatch"


def test_s3_refuses_an_unknown_key_and_a_request_without_one(s3_server: S3Server) -> None:
    with pytest.raises(S3Error) as refused:
        s3_server.client(access_key="test").list_buckets()
    assert refused.value.code == "InvalidAccessKeyId"
    with pytest.raises(OSError, match="403"):
        urlopen(f"{s3_server.endpoint}/{s3_server.bucket}")


def test_s3_objects_survive_kill_and_restart(s3_server: S3Server) -> None:
    put(s3_server, "ñandú/canción.txt", "año".encode())
    s3_server.kill()
    s3_server.start()
    assert s3_server.client().get_object(s3_server.bucket, "ñandú/canción.txt").data == "año".encode()


async def test_nats_messages_survive_kill_and_restart(nats_server: NatsServer) -> None:
    async with await nats.connect(nats_server.url) as client:
        jetstream = client.jetstream()
        await jetstream.add_stream(name="SURVIVORS", subjects=["survivors.>"])
        await jetstream.publish("survivors.one", b"still here")
    nats_server.kill()
    nats_server.start()
    async with await nats.connect(nats_server.url) as client:
        message = await client.jetstream().get_last_msg("SURVIVORS", "survivors.one")
    assert message.data == b"still here"


async def test_nats_is_2_10_or_newer(nats_server: NatsServer) -> None:
    async with await nats.connect(nats_server.url) as client:
        version = client.connected_server_version
    assert (version.major, version.minor) >= (2, 10)


async def test_each_test_may_ask_for_a_nats_server_without_streams(nats_url: str) -> None:
    async with await nats.connect(nats_url) as client:
        assert await client.jetstream().streams_info() == []


def test_postgres_rows_survive_kill_and_restart(postgres_server: PostgresServer, postgres_url: str) -> None:
    plain_url = postgres_url.replace("+psycopg", "")
    with psycopg.connect(plain_url) as connection:
        connection.execute("CREATE TABLE survivors AS SELECT 'ñandú' AS name")
    postgres_server.kill()
    postgres_server.start()
    with psycopg.connect(plain_url) as connection:
        assert connection.execute("SELECT name FROM survivors").fetchone() == ("ñandú",)


def test_postgres_stops_under_open_connections(postgres_server: PostgresServer, postgres_url: str) -> None:
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        begun = time.monotonic()
        postgres_server.restart()
        assert time.monotonic() - begun < 10
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_postgres_refuses_a_wrong_password(postgres_server: PostgresServer) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres_server.url.replace("+psycopg", ""), password="not-the-password")


@pytest.mark.usefixtures("nats_server", "postgres_server", "s3_server")
def test_no_server_outlives_a_killed_session() -> None:
    session = textwrap.dedent(
        """
        import os, signal
        from tests.servers import NatsServer, PostgresServer, S3Server
        servers = [NatsServer(), PostgresServer(), S3Server()]
        for server in servers:
            server.start()
        print(*(f"{server.port}:{server.home}" for server in servers), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    run = subprocess.run([sys.executable, "-c", session], cwd=REPOSITORY, capture_output=True, text=True)
    started = [(int(port), Path(home)) for port, home in (entry.split(":") for entry in run.stdout.split())]
    assert len(started) == 3, run.stderr
    deadline = time.monotonic() + 10
    while any(listens(port) or home.exists() for port, home in started) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [home for port, home in started if listens(port) or home.exists()]
