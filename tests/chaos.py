"""kill -9 by dice: whoever of a deployment is hit comes back a moment later, as under a supervisor.

Two blows in seven go to the service that has a job right now, the others to anybody.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from fragua.common.v1.job_pb2 import JobStatus
from tests.deployment import SERVICES, Deployment

PARTS = ("serve", "work", "engine")
BUSY = "busy"
"""Stands for the service that was last heard to have a job."""
VICTIMS = (
    *(f"{service}-{part}" for service in SERVICES for part in PARTS),
    *("nats", "postgres", "s3"),
    *(f"{BUSY}-{part}" for part in PARTS for _ in range(2)),
)
_LONGEST_PEACE = 2.0
_PATIENCE_GROWS = 1.3
"""Each blow during one job waits longer than the one before: the job has to get through, also on a slow machine."""
_LONGEST_ABSENCE = 2.0
_SUPERVISOR_SECONDS = 0.5


@dataclass(frozen=True)
class Blow:
    peace: float
    """Seconds since the blow before, if it is the first one during a job."""
    victim: str
    absence: float
    """Seconds until the supervisor acts."""


@dataclass
class Havoc:
    hits: Counter[str] = field(default_factory=Counter)
    ended_by_themselves: list[str] = field(default_factory=list)
    """What stopped although nobody killed it, with its last words."""
    busy: str = SERVICES[0]

    async def follow(self, service: str, _status: JobStatus) -> None:
        """A client's `OnStatus`."""
        self.busy = service


def blows(seed: int) -> Iterator[Blow]:
    """Without end; the same seed gives the same ones."""
    dice = random.Random(seed)
    while True:
        yield Blow(dice.uniform(0.2, _LONGEST_PEACE), dice.choice(VICTIMS), dice.uniform(0, _LONGEST_ABSENCE))


@asynccontextmanager
async def chaos(deployment: Deployment, seed: int) -> AsyncIterator[Havoc]:
    """Strike for as long as the body runs; everything is up again when it has ended."""
    havoc = Havoc()
    absent: set[str] = set()
    absences: set[asyncio.Task[None]] = set()

    async def strike(victim: str, absence: float) -> None:
        absent.add(victim)
        await asyncio.to_thread(deployment.kill, victim)
        await asyncio.sleep(absence)
        await asyncio.to_thread(deployment.start, victim)
        absent.discard(victim)

    async def rage() -> None:
        during, patience = havoc.busy, 1.0
        for blow in blows(seed):
            await asyncio.sleep(blow.peace * patience)
            patience = patience * _PATIENCE_GROWS if during == havoc.busy else 1.0
            during = havoc.busy
            victim = blow.victim.replace(BUSY, havoc.busy)
            if victim.endswith("engine"):
                havoc.hits[victim] += _kill_engine(deployment, victim)
            elif victim not in absent:
                havoc.hits[victim] += 1
                absences.add(asyncio.create_task(strike(victim, blow.absence)))

    async def supervise() -> None:
        while True:
            await asyncio.sleep(_SUPERVISOR_SECONDS)
            for name, process in deployment.processes.items():
                if name not in absent and process.ended:
                    havoc.ended_by_themselves.append(f"{name}:\n{process.log_tail()}")
                    process.end(signal.SIGKILL)
                    process.start()

    loops = [asyncio.create_task(rage()), asyncio.create_task(supervise())]
    try:
        yield havoc
    finally:
        for loop in loops:
            loop.cancel()
        ends = await asyncio.gather(*loops, return_exceptions=True)
        await asyncio.gather(*absences)
    for end in ends:
        if isinstance(end, Exception):
            raise end


def _kill_engine(deployment: Deployment, name: str) -> int:
    """How many were hit: an engine is there only while its worker has a job."""
    engines = deployment.processes[name.replace("engine", "work")].children()
    for pid in engines:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(engines)
