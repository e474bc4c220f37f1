"""`fragua up`: the four services in one process, on embedded adapters, with all state below one directory."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import structlog

import fragua_dataset.bootstrap
import fragua_evaluator.bootstrap
import fragua_exporter.bootstrap
import fragua_trainer.bootstrap
from fragua_platform.errors import FailedPrecondition
from fragua_platform.events.memory import MemoryEventBus
from fragua_platform.logging import configure_logging
from fragua_platform.runtime import ServiceDefinition, open_resources, reacting, serving, until_signalled, working
from fragua_platform.settings import PlatformSettings
from fragua_platform.telemetry import configure_tracing

log = structlog.get_logger()

DEFINITIONS: tuple[ServiceDefinition[Any], ...] = (
    fragua_dataset.bootstrap.DEFINITION,
    fragua_trainer.bootstrap.DEFINITION,
    fragua_evaluator.bootstrap.DEFINITION,
    fragua_exporter.bootstrap.DEFINITION,
)
"""In the order of their ports."""


def run(data_dir: Path, port: int, log_level: str = "INFO") -> None:
    """Serve on `port` to `port + 3` until SIGTERM or SIGINT; unfinished jobs go on at the next start."""
    configure_logging("fragua", log_level, "console")
    configure_tracing("fragua")
    with _sole_owner(data_dir):
        asyncio.run(_run(data_dir, port))


async def _run(data_dir: Path, port: int) -> None:
    bus = MemoryEventBus()
    endpoints = {
        f"{definition.settings.service_name}_endpoint": f"127.0.0.1:{port + offset}"
        for offset, definition in enumerate(DEFINITIONS)
    }
    async with AsyncExitStack() as stack:
        stop = await stack.enter_async_context(until_signalled())
        running = []
        for offset, definition in enumerate(DEFINITIONS):
            settings = _embedded_settings(definition, data_dir, port + offset, endpoints)
            resources = await stack.enter_async_context(open_resources(definition, settings, bus=bus))
            running.append((definition, settings, definition.build(settings, resources), resources))
        # All subscriptions before any relay.
        for _, _, service, resources in running:
            await stack.enter_async_context(reacting(service, resources))
        for definition, settings, service, resources in running:
            await stack.enter_async_context(serving(definition, settings, service, resources))
        workers = [
            await stack.enter_async_context(working(settings, service, resources))
            for _, settings, service, resources in running
        ]
        log.info("fragua_is_up", data_dir=str(data_dir), ports=f"{port}-{port + len(DEFINITIONS) - 1}")
        await stop.wait()
        for worker in workers:
            worker.drain()  # all at once; the stack then waits for one after the other


def _embedded_settings(
    definition: ServiceDefinition[Any], data_dir: Path, port: int, endpoints: dict[str, str]
) -> PlatformSettings:
    settings = definition.settings
    own_endpoints = {name: value for name, value in endpoints.items() if name in settings.model_fields}
    return settings.load(
        data_dir=data_dir,
        database_url=f"sqlite:///{(data_dir / f'{settings.service_name}.db').absolute()}",
        artifacts_url=(data_dir / "artifacts").absolute().as_uri(),
        events_url="memory://",
        host="127.0.0.1",
        port=port,
        metrics_port=0,
        drain_seconds=10,
        **own_endpoints,
    )


@contextmanager
def _sole_owner(data_dir: Path) -> Iterator[None]:
    """Two processes on one directory would both believe that the other one's jobs are dead."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FailedPrecondition(
                f"another `fragua up` uses {data_dir}; stop it, or choose another --data-dir"
            ) from None
        yield
