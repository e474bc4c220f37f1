"""What keeps a process honest: it waits for its servers, ends when one of its loops does, and leaves no folder behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from fragua_platform import runtime
from fragua_platform.database import Database, upgrade_schema
from fragua_platform.errors import FailedPrecondition, Unavailable
from fragua_platform.events.bus import DeadLetterHandler, DeliveryPolicy, EventHandler, Subscription
from fragua_platform.events.cloudevents import CloudEvent
from fragua_platform.events.memory import MemoryEventBus
from fragua_platform.jobs.workplace import own_workplace
from fragua_platform.runtime import Reaction, open_resources, reacting, running, serving
from tests.counting.service import DEFINITION, CountingSettings
from tests.jobs import new_job


class BusThatComesBack(MemoryEventBus):
    """Was killed after it had answered once, so that the first subscription of each name fails."""

    def __init__(self) -> None:
        super().__init__()
        self._refused: set[str] = set()

    async def subscribe(
        self, durable: str, subjects: Sequence[str], handler: EventHandler, policy: DeliveryPolicy | None = None
    ) -> Subscription:
        self._refuse_once(durable)
        return await super().subscribe(durable, subjects, handler, policy)

    async def on_dead_letter(self, queue: str, handler: DeadLetterHandler) -> Subscription:
        self._refuse_once(f"dead-{queue}")
        return await super().on_dead_letter(queue, handler)

    def _refuse_once(self, name: str) -> None:
        if name not in self._refused:
            self._refused.add(name)
            raise Unavailable("no connection")


async def test_a_service_that_starts_while_its_servers_restart_waits_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([Unavailable("the database is starting up")])

    def upgrade_when_it_answers(database: Database, migrations: Path) -> None:
        for failure in failures:
            raise failure
        upgrade_schema(database, migrations)

    monkeypatch.setattr(runtime, "upgrade_schema", upgrade_when_it_answers)
    heard: list[CloudEvent] = []

    async def hear(event: CloudEvent) -> None:
        heard.append(event)

    settings = CountingSettings.load(data_dir=tmp_path)
    bus = BusThatComesBack()
    async with open_resources(DEFINITION, settings, bus=bus) as resources:
        service = replace(
            DEFINITION.build(settings, resources), reactions=[Reaction("listener", ("fragua.v1.>",), hear)]
        )
        async with reacting(service, resources), serving(DEFINITION, settings, service, resources):
            job = await resources.database.run(lambda connection: service.jobs.create(connection, new_job()))
            async with asyncio.timeout(10):
                while not heard:
                    await asyncio.sleep(0.05)

    assert job.name in heard[0].body.decode()
    await bus.close()


async def for_ever() -> None:
    await asyncio.sleep(3600)


async def test_loops_end_with_the_body() -> None:
    async with running(for_ever(), for_ever()) as tasks:
        await asyncio.sleep(0)

    assert all(task.cancelled() for task in tasks)


async def test_a_loop_that_fails_ends_the_body_and_its_error_comes_out() -> None:
    async def fail() -> None:
        await asyncio.sleep(0.01)
        raise RuntimeError("un defecto")

    with pytest.raises(RuntimeError, match="un defecto"):
        async with running(for_ever(), fail()):
            await asyncio.sleep(3600)

    await asyncio.sleep(0)  # this task itself goes on, uncancelled


async def test_an_error_of_the_body_comes_out_as_it_is() -> None:
    with pytest.raises(FailedPrecondition, match="the port is taken"):
        async with running(for_ever()):
            raise FailedPrecondition("the port is taken")


async def test_a_cancellation_from_outside_stays_one() -> None:
    async def body() -> None:
        async with running(for_ever()):
            await asyncio.sleep(3600)

    task = asyncio.create_task(body())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_workplace_is_gone_at_the_end(tmp_path: Path) -> None:
    with own_workplace(tmp_path) as place:
        (place / "job").mkdir()

    assert list(tmp_path.iterdir()) == []


def test_workers_on_one_machine_leave_each_other_alone(tmp_path: Path) -> None:
    with own_workplace(tmp_path) as mine:
        with own_workplace(tmp_path) as other:
            assert other != mine
        assert mine.is_dir()


def test_what_a_killed_worker_left_goes_when_the_next_one_begins(tmp_path: Path) -> None:
    begin_and_die = (
        "import os, signal, sys; from pathlib import Path; from fragua_platform.jobs.workplace import own_workplace\n"
        "with own_workplace(Path(sys.argv[1])) as place:\n"
        "    (place / 'job').mkdir(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    died = subprocess.run([sys.executable, "-c", begin_and_die, str(tmp_path)], env=os.environ, check=False)
    assert died.returncode == -signal.SIGKILL
    assert list(tmp_path.glob("*/job"))

    with own_workplace(tmp_path) as place:
        assert list(tmp_path.glob("*/job")) == []
        assert place.is_dir()
