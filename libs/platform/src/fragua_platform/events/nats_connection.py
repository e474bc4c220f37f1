"""One connection to NATS: who it is, how it fails, and what it logs while it reconnects."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit, urlunsplit

import nats.errors
import structlog
from nats.aio.client import Client
from nats.js import JetStreamContext

from fragua_platform.errors import InvalidInput, LimitExceeded, Unavailable

CONNECT_SECONDS = 10.0
RECONNECT_PAUSE_SECONDS = 0.5
ANSWER_SECONDS = 5.0

log = structlog.get_logger(__name__)


class Connection:
    def __init__(self) -> None:
        self.client = Client()
        self.jetstream: JetStreamContext = self.client.jetstream(timeout=ANSWER_SECONDS)
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def until_lost(self) -> asyncio.Future[None]:
        """Done when the connection that there is now breaks: what was asked over it will not be answered."""
        if self._lost.done() and self.client.is_connected:
            self._lost = asyncio.get_running_loop().create_future()
        return self._lost

    def note_lost(self) -> None:
        if not self._lost.done():
            self._lost.set_result(None)


async def connect(url: str, *, user: str | None, password: str | None, token: str | None, name: str) -> Connection:
    """Fails after some seconds when nobody answers; once connected, it reconnects for ever."""
    parts = [urlsplit(server.strip()) for server in url.split(",")]
    servers = [urlunsplit(part._replace(netloc=part.netloc.rpartition("@")[2])) for part in parts]
    addresses = ", ".join(servers)
    # Taken out of the URL, because the client library would send them without decoding, and logs would show them.
    if user is None and token is None and parts[0].username:
        if parts[0].password is None:
            token = unquote(parts[0].username)
        else:
            user, password = unquote(parts[0].username), unquote(parts[0].password)
    connection = Connection()
    client = connection.client
    last_trouble = "no answer"

    async def note_trouble(trouble: Exception) -> None:
        nonlocal last_trouble
        told = str(trouble) or type(trouble).__name__
        # A server that refuses says why and hangs up: the broken line must not hide its reason.
        if isinstance(trouble, nats.errors.Error) or last_trouble == "no answer":
            last_trouble = told
        log.debug("nats_trouble", cause=told)

    async def note_disconnect() -> None:
        connection.note_lost()
        if client.is_closed:
            return
        log.warning("nats_disconnected", servers=addresses, cause=last_trouble)

    async def note_reconnect() -> None:
        nonlocal last_trouble
        last_trouble = "no answer"
        log.info("nats_reconnected", servers=addresses)

    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await client.connect(
                servers,
                name=name,
                user=user,
                password=password,
                token=token,
                tls=ssl.create_default_context() if url.startswith("tls://") else None,
                error_cb=note_trouble,
                disconnected_cb=note_disconnect,
                reconnected_cb=note_reconnect,
                max_reconnect_attempts=-1,
                reconnect_time_wait=RECONNECT_PAUSE_SECONDS,  # type: ignore[arg-type]  # any number of seconds does
            )
    except (TimeoutError, OSError, nats.errors.Error) as failure:
        await client.close()
        raise Unavailable(
            f"NATS at {addresses} is not to be had ({last_trouble}); start it, or set FRAGUA_EVENTS_URL"
        ) from failure
    except ValueError as malformed:
        raise InvalidInput(f"{addresses} is not the address of a NATS server: {malformed}") from malformed
    return connection


def server_version(client: Client) -> str:
    version = client.connected_server_version
    try:
        return f"{version.major}.{version.minor}.{version.patch}"
    except ValueError:  # a build that is no release
        return ""


@contextmanager
def nats_errors(doing: str) -> Iterator[None]:
    """Turns the client library's errors into the suite's."""
    try:
        yield
    except nats.errors.MaxPayloadError as too_large:
        raise LimitExceeded(f"{doing}: the message exceeds the server's max_payload") from too_large
    except nats.errors.BadSubjectError as bad:
        raise InvalidInput(f"{doing}: the subject is malformed") from bad
    except (nats.errors.Error, OSError) as failure:
        raise Unavailable(f"{doing}: {failure}") from failure
