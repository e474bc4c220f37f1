"""A gRPC server as every service runs one: with health, reflection, limits, TLS and a graceful end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Final, NamedTuple

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from fragua_platform.errors import FailedPrecondition
from fragua_platform.grpc.interceptors import CallInterceptor, Drain
from fragua_platform.grpc.tls import ServerTls, server_credentials

MAX_REQUEST_BYTES: Final = 4 * 1024 * 1024
"""Larger things arrive in chunks."""
MAX_RESPONSE_BYTES: Final = 16 * 1024 * 1024
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
    ("grpc.max_send_message_length", MAX_RESPONSE_BYTES),
    # Per connection; more calls wait on the client's side.
    ("grpc.max_concurrent_streams", 256),
    # A second server on the same port is a mistake to hear about, not a way to share the load.
    ("grpc.so_reuseport", 0),
    # A peer that vanished without a word (a cut cable, a paused machine) is noticed within a minute and a half.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Our clients ping every 30 s; gRPC's default would answer that with `too_many_pings`.
    ("grpc.http2.min_ping_interval_without_data_ms", 20_000),
)
_LAST_WORD_SECONDS: Final = 0.1
"""Between NOT_SERVING and the end of Watch streams, so that those who watch health hear of it first."""

log = structlog.stdlib.get_logger(__name__)


class GrpcService(NamedTuple):
    """One service of a server: `GrpcService(add_XServicer_to_server, servicer, "fragua.x.v1.XService")`."""

    register: Callable[[Any, grpc.aio.Server], None]
    servicer: object
    name: str


class GrpcServer:
    """Serves from `start` to `stop`, or as an async context manager.

    Health says NOT_SERVING until `set_ready(True)`, so that nobody sends work to a service that still starts.
    """

    def __init__(
        self,
        services: Sequence[GrpcService],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ServerTls | None = None,
        drain_seconds: float = 30.0,
    ) -> None:
        """`drain_seconds` is what running calls get to finish in after `stop`."""
        self._services = tuple(services)
        self._host = host
        self._port = port
        self._tls = tls
        self._drain_seconds = drain_seconds
        self._drain = Drain()
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]
        self._server: grpc.aio.Server | None = None

    @property
    def port(self) -> int:
        """The real one, also when 0 asked for any free port; known after `start`."""
        return self._port

    @property
    def target(self) -> str:
        """What `open_channel` takes to reach this server from the same machine."""
        return f"{self._host}:{self._port}"

    async def start(self) -> None:
        await self.set_ready(False)
        server = grpc.aio.server(interceptors=[CallInterceptor(self._drain)], options=_OPTIONS)
        for service in self._services:
            service.register(service.servicer, server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = [service.name for service in self._services]
        reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
        self._port = self._listen(server)
        await server.start()
        self._server = server
        log.info("grpc_listening", host=self._host, port=self._port, services=names, tls=self._tls is not None)

    async def set_ready(self, ready: bool) -> None:
        status = health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *(service.name for service in self._services)):
            await self._health.set(name, status)

    async def stop(self) -> None:
        """Turn away new calls, end Watch streams, let the other calls finish within the grace, then cut them."""
        if self._server is None:
            return
        server, self._server = self._server, None
        started = time.perf_counter()
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(_LAST_WORD_SECONDS)
        self._drain.begin()
        await server.stop(self._drain_seconds)
        log.info("grpc_stopped", port=self._port, seconds=round(time.perf_counter() - started, 3))

    async def __aenter__(self) -> GrpcServer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _listen(self, server: grpc.aio.Server) -> int:
        try:
            if self._tls is None:
                return server.add_insecure_port(self.target)
            return server.add_secure_port(self.target, server_credentials(self._tls))
        except RuntimeError as refused:
            raise FailedPrecondition(
                f"cannot listen on {self.target}: is another process on this port? Choose host and port with "
                "FRAGUA_HOST and FRAGUA_PORT"
            ) from refused
