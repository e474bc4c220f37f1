"""How a service's processes live: open resources, serve or work until told to stop, drain, close.

One image, three commands: `migrate` brings the schema up to date, `serve` answers calls and relays messages,
`work` does jobs. `fragua up` runs the same functions for all services in one process.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

import sqlalchemy as sa
import structlog

from fragua_platform.artifacts.open import open_artifact_store
from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.database import Database, require_current_schema, upgrade_schema
from fragua_platform.errors import FraguaError, InvalidInput, Unavailable
from fragua_platform.events.bus import DeliveryPolicy, EventBus, EventHandler, Subscription
from fragua_platform.events.cloudevents import CloudEvent
from fragua_platform.events.open import open_event_bus
from fragua_platform.events.outbox import Inbox, Outbox, OutboxRelay, forget_old_messages
from fragua_platform.grpc.server import GrpcServer, GrpcService
from fragua_platform.jobs.attempt import Workshop
from fragua_platform.jobs.keeper import JobKeeper
from fragua_platform.jobs.kind import JobKind
from fragua_platform.jobs.store import JobStore
from fragua_platform.jobs.sweep import sweep_checkpoints
from fragua_platform.jobs.worker import Worker
from fragua_platform.jobs.workplace import own_workplace
from fragua_platform.logging import configure_logging
from fragua_platform.settings import PlatformSettings
from fragua_platform.telemetry import EVENTS_HANDLED, configure_tracing, serve_metrics

log = structlog.get_logger()
S = TypeVar("S", bound=PlatformSettings)

_START_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Resources:
    """The adapters that settings chose, open and answering."""

    database: Database
    artifacts: ArtifactStore
    bus: EventBus


@dataclass(frozen=True)
class Reaction:
    """One row of a service's table of reactions: what it hears, and what it does then."""

    durable: str
    subjects: tuple[str, ...]
    handler: EventHandler


@dataclass(frozen=True)
class Service:
    """A service as its `bootstrap.py` wired it."""

    name: str
    api: Sequence[GrpcService]
    jobs: JobStore
    kinds: Mapping[str, JobKind]
    """What the worker makes of a job, by its kind."""
    reactions: Sequence[Reaction] = ()
    loops: Sequence[Callable[[], Coroutine[Any, Any, None]]] = ()
    """What runs beside the API for as long as it serves, in every replica: it has to share its work through SQL."""


@dataclass(frozen=True)
class ServiceDefinition(Generic[S]):
    """What `__main__` and `fragua up` need to know to run a service."""

    settings: type[S]
    metadata: sa.MetaData
    migrations: Path
    build: Callable[[S, Resources], Service]


@asynccontextmanager
async def open_resources(
    definition: ServiceDefinition[S], settings: S, *, bus: EventBus | None = None
) -> AsyncIterator[Resources]:
    """Connect to everything, waiting a while for what is still starting. `bus` is shared when given."""
    async with AsyncExitStack() as stack:
        database = Database(settings.database_url)
        stack.push_async_callback(database.close)
        await _patiently("database", lambda: asyncio.to_thread(_prepare_schema, database, definition.migrations))
        artifacts = open_artifact_store(
            settings.artifacts_url,
            access_key=settings.artifacts_access_key.get_secret_value(),
            secret_key=settings.artifacts_secret_key.get_secret_value(),
        )
        await _patiently("artifacts", artifacts.check)
        if bus is None:
            bus = await _patiently("events", lambda: open_event_bus(settings.events_url))
            stack.push_async_callback(bus.close)
        yield Resources(database, artifacts, bus)


def _prepare_schema(database: Database, migrations: Path) -> None:
    # An embedded database has one owner, who may migrate it; a shared one is migrated by a step of the deployment.
    if database.embedded:
        upgrade_schema(database, migrations)
    else:
        require_current_schema(database, migrations)


async def _patiently(what: str, connect: Callable[[], Any]) -> Any:
    deadline = asyncio.get_running_loop().time() + _START_PATIENCE_SECONDS
    while True:
        try:
            return await connect()
        except Unavailable as error:
            if asyncio.get_running_loop().time() > deadline:
                raise
            log.warning("waiting_for_dependency", dependency=what, message=error.message, cause=str(error.__cause__))
        await asyncio.sleep(0.5)


@asynccontextmanager
async def reacting(service: Service, resources: Resources) -> AsyncIterator[None]:
    """The service's subscriptions. Enter it before `serving`: the embedded bus hands an event to those who listen when
    a relay publishes it, and to nobody later."""
    async with AsyncExitStack() as stack:
        for reaction in service.reactions:
            subscription = await _patiently("events", partial(_subscribe, resources.bus, reaction))
            stack.push_async_callback(subscription.stop)
        yield


async def _subscribe(bus: EventBus, reaction: Reaction) -> Subscription:
    async def handle(event: CloudEvent) -> None:
        try:
            await reaction.handler(event)
        except Exception:  # only counted here; the bus decides what becomes of the event
            EVENTS_HANDLED.labels(reaction.durable, "failed").inc()
            raise
        EVENTS_HANDLED.labels(reaction.durable, "handled").inc()

    return await bus.subscribe(reaction.durable, reaction.subjects, handle)


@asynccontextmanager
async def running(*loops: Coroutine[Any, Any, None]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Run `loops` beside the body. One that fails ends the body, and its error comes out: half a service lies."""
    body = asyncio.current_task()
    assert body is not None
    failures: list[BaseException] = []

    def end_body(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            log.error("background_loop_failed", exc_info=error)
            failures.append(error)
            body.cancel()

    tasks = [asyncio.create_task(loop) for loop in loops]
    for task in tasks:
        task.add_done_callback(end_body)
    try:
        yield tasks
    except asyncio.CancelledError:
        if not failures:
            raise
        body.uncancel()
        raise failures[0] from None
    finally:
        for task in tasks:
            task.remove_done_callback(end_body)
            task.cancel()
        await asyncio.wait(tasks)


@asynccontextmanager
async def serving(
    definition: ServiceDefinition[S], settings: S, service: Service, resources: Resources
) -> AsyncIterator[GrpcServer]:
    """The API, the relay and the keeper of one service, drained on the way out."""
    outbox = Outbox(definition.metadata.tables["outbox"])
    relay = OutboxRelay(resources.database, outbox, resources.bus, service.name)
    keeper = JobKeeper(resources.database, service.jobs, resources.bus, lease_of(settings))
    async with AsyncExitStack() as stack:
        letters = await _patiently("events", keeper.watch_dead_letters)
        stack.push_async_callback(letters.stop)
        await keeper.recover()
        cleaning = forget_old_messages(resources.database, outbox, Inbox(definition.metadata.tables["inbox"]))
        sweeping = sweep_checkpoints(resources.database, service.jobs, resources.artifacts)
        await stack.enter_async_context(
            running(relay.run(), keeper.run(), cleaning, sweeping, *(loop() for loop in service.loops))
        )
        server = GrpcServer(
            service.api,
            host=settings.host,
            port=settings.port,
            tls=settings.server_tls,
            drain_seconds=settings.drain_seconds,
        )
        await stack.enter_async_context(server)
        await server.set_ready(True)
        yield server


@asynccontextmanager
async def working(settings: S, service: Service, resources: Resources) -> AsyncIterator[Worker]:
    """One worker of a service, drained on the way out; to drain several at once, call `drain` of each before."""
    with own_workplace(settings.data_dir / "work" / service.name) as directory:
        worker = Worker(
            Workshop(
                database=resources.database,
                jobs=service.jobs,
                artifacts=resources.artifacts,
                kinds=service.kinds,
                directory=directory,
                lease=lease_of(settings),
                io_patience=timedelta(seconds=settings.io_patience_seconds),
            ),
            resources.bus,
            DeliveryPolicy(ack_wait=settings.lease_seconds, max_deliveries=settings.max_deliveries),
        )
        async with running(worker.run()) as [task]:
            try:
                yield worker
            finally:
                worker.drain()
                _, late = await asyncio.wait({task}, timeout=settings.drain_seconds)
                if late:
                    log.warning("drain_took_too_long", seconds=settings.drain_seconds)


def lease_of(settings: PlatformSettings) -> timedelta:
    return timedelta(seconds=settings.lease_seconds)


@asynccontextmanager
async def until_signalled() -> AsyncIterator[asyncio.Event]:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def service_main(definition: ServiceDefinition[Any], arguments: list[str] | None = None) -> NoReturn:
    """`python -m fragua_<service> serve | work | migrate`."""
    arguments = sys.argv[1:] if arguments is None else arguments
    commands = {"serve": _serve, "work": _work, "migrate": _migrate}
    if len(arguments) != 1 or arguments[0] not in commands:
        sys.exit("usage: python -m fragua_<service> serve | work | migrate")
    try:
        settings = definition.settings.load()
        configure_logging(settings.service_name, settings.log_level, settings.log_format)
        configure_tracing(settings.service_name)
        asyncio.run(commands[arguments[0]](definition, settings))
    except FraguaError as error:
        problems = "".join(f"\n  {v.field}: {v.description}" for v in error.violations)
        sys.exit(f"{error.message}{problems}")
    sys.exit(0)


async def _serve(definition: ServiceDefinition[S], settings: S) -> None:
    _refuse_process_bound_bus(settings)
    serve_metrics(settings.metrics_port, settings.host)
    async with until_signalled() as stop, open_resources(definition, settings) as resources:
        service = definition.build(settings, resources)
        async with reacting(service, resources), serving(definition, settings, service, resources):
            await stop.wait()


async def _work(definition: ServiceDefinition[S], settings: S) -> None:
    _refuse_process_bound_bus(settings)
    async with until_signalled() as stop, open_resources(definition, settings) as resources:
        service = definition.build(settings, resources)
        async with working(settings, service, resources):
            # Last, because a worker has no API: that its metrics answer is how a supervisor knows that it works.
            serve_metrics(settings.metrics_port, settings.host)
            await stop.wait()


def _refuse_process_bound_bus(settings: PlatformSettings) -> None:
    if settings.events_url.startswith("memory:"):
        raise InvalidInput(
            "FRAGUA_EVENTS_URL is memory://, which does not leave its process: set it to nats://… for separate "
            "`serve` and `work` processes, or run all in one with `fragua up`"
        )


async def _migrate(definition: ServiceDefinition[S], settings: S) -> None:
    database = Database(settings.database_url)
    await _patiently("database", lambda: asyncio.to_thread(upgrade_schema, database, definition.migrations))
    log.info("migrated", service=settings.service_name)
    await database.close()
