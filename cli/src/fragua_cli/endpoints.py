"""Where the four services answer: one address for all, or one for each."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from fragua_platform.errors import InvalidInput, Violation

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 7440
SERVICES = ("dataset", "trainer", "evaluator", "exporter")
"""In the order of their ports: the dataset service answers on the first one, the exporter on the fourth."""

_ADDRESS = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:(?P<port>[0-9]{1,5}))?")


def find_endpoints(endpoint: str = "", environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The address of each service. A service's own variable counts most, then `endpoint`, then FRAGUA_ENDPOINT."""
    host, port = _parse(endpoint or environment.get("FRAGUA_ENDPOINT", "") or DEFAULT_HOST, "--endpoint")
    endpoints = {service: f"{host}:{port + offset}" for offset, service in enumerate(SERVICES)}
    for service in SERVICES:
        variable = f"FRAGUA_{service.upper()}_ENDPOINT"
        if own := environment.get(variable, ""):
            endpoints[service] = "{}:{}".format(*_parse(own, variable))
    return endpoints


def names_a_suite(endpoint: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the user pointed at a running suite, in whatever way."""
    variables = ["FRAGUA_ENDPOINT", *(f"FRAGUA_{service.upper()}_ENDPOINT" for service in SERVICES)]
    return bool(endpoint) or any(environment.get(variable) for variable in variables)


def _parse(address: str, source: str) -> tuple[str, int]:
    match = _ADDRESS.fullmatch(address)
    port = int(match["port"] or DEFAULT_PORT) if match else 0
    if match is None or not 0 < port <= 65535 - len(SERVICES):
        problem = Violation(source, f"{address!r} is not HOST or HOST:PORT, such as 127.0.0.1:{DEFAULT_PORT}")
        raise InvalidInput("cannot tell where the services answer", violations=[problem])
    return match["host"], port
