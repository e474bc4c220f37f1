"""Whether the four services are ready for requests, by gRPC's own health protocol."""

from __future__ import annotations

import asyncio
import time

import typer
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fragua_cli.endpoints import SERVICES
from fragua_cli.exits import ExitCode
from fragua_cli.session import Session
from fragua_cli.suite import Suite
from fragua_platform.errors import FraguaError, Unavailable

_CHECK_SECONDS = 3.0


async def health_of(suite: Suite, service: str) -> str:
    """SERVING, NOT_SERVING while it starts or drains, or UNREACHABLE."""
    stub = health_pb2_grpc.HealthStub(suite.channel(service))
    try:
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=_CHECK_SECONDS)
    except FraguaError:
        return "UNREACHABLE"
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


async def show_health(session: Session) -> None:
    suite = session.suite
    states = await asyncio.gather(*(health_of(suite, service) for service in SERVICES))
    if session.output.as_json:
        answers = zip(SERVICES, states, strict=True)
        session.output.document(
            {service: {"endpoint": suite.endpoints[service], "state": state} for service, state in answers}
        )
    session.output.table(
        {"SERVICE": SERVICES, "ENDPOINT": [suite.endpoints[service] for service in SERVICES], "STATE": states}
    )
    if set(states) != {"SERVING"}:
        raise typer.Exit(ExitCode.UNAVAILABLE)


async def wait_until_serving(suite: Suite, seconds: float) -> None:
    """Return when all four answer SERVING; `Unavailable` names those that did not within `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        states = await asyncio.gather(*(health_of(suite, service) for service in SERVICES))
        away = [
            f"{service} at {suite.endpoints[service]} is {state}"
            for service, state in zip(SERVICES, states, strict=True)
            if state != "SERVING"
        ]
        if not away:
            return
        if time.monotonic() > deadline:
            raise Unavailable(f"not every service is ready: {', '.join(away)}")
        await asyncio.sleep(0.3)
