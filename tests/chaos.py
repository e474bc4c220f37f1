"""kill -9 by dice: whoever of a deployment is hit comes back a moment later, as under a supervisor."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.deployment import SERVICES, Deployment

ENGINES = tuple(f"{service}-engine" for service in SERVICES)
VICTIMS = (
    *(f"{service}-{command}" for service in SERVICES for command in ("serve", "work")),
    *ENGINES,
    *("nats", "postgres", "s3"),
)
_LONGEST_PEACE = 3.0
"""Seconds between two blows; every job has to get through between two that hit it."""
_LONGEST_ABSENCE = 2.0
_SUPERVISOR_SECONDS = 0.5


@dataclass(frozen=True)
class Blow:
    peace: float
    """Seconds since the blow before."""
    victim: str
    absence: float
    """Seconds until the supervisor acts."""


@dataclass
class Casualties:
    hits: Counter[str] = field(default_factory=Counter)
    ended_by_themselves: list[str] = field(default_factory=list)
    """What stopped although nobody killed it, with its last words."""


def blows(seed: int) -> Iterator[Blow]:
    """Without end; the same seed gives the same ones."""
    dice = random.Random(seed)
    while True:
        yield Blow(dice.uniform(0.2, _LONGEST_PEACE), dice.choice(VICTIMS), dice.uniform(0, _LONGEST_ABSENCE))


@asynccontextmanager
async def chaos(deployment: Deployment, seed: int) -> AsyncIterator[Casualties]:
    """Strike for as long as the body runs; everything is up again when it has ended."""
    casualties = Casualties()
    absent: set[str] = set()
    absences: set[asyncio.Task[None]] = set()

    async def strike(blow: Blow) -> None:
        absent.add(blow.victim)
        await asyncio.to_thread(deployment.kill, blow.victim)
        await asyncio.sleep(blow.absence)
        await asyncio.to_thread(deployment.start, blow.victim)
        absent.discard(blow.victim)

    async def rage() -> None:
        for blow in blows(seed):
            await asyncio.sleep(blow.peace)
            if blow.victim in ENGINES:
                casualties.hits[blow.victim] += _kill_engine(deployment, blow.victim)
            elif blow.victim not in absent:
                casualties.hits[blow.victim] += 1
                absences.add(asyncio.create_task(strike(blow)))

    async def supervise() -> None:
        while True:
            await asyncio.sleep(_SUPERVISOR_SECONDS)
            for name, process in deployment.processes.items():
                if name not in absent and process.ended:
                    casualties.ended_by_themselves.append(f"{name}:\n{process.log_tail()}")
                    process.end(signal.SIGKILL)
                    process.start()

    loops = [asyncio.create_task(rage()), asyncio.create_task(supervise())]
    try:
        yield casualties
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.wait(loops)
        await asyncio.gather(*absences)


def _kill_engine(deployment: Deployment, name: str) -> int:
    """How many were hit: an engine is there only while its worker has a job."""
    engines = deployment.processes[name.replace("engine", "work")].children()
    for pid in engines:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(engines)
