"""A suite of the demo's own: `fragua up` as a child process, started again when it dies, gone when we are."""

from __future__ import annotations

import asyncio
import random
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Final

from fragua_cli.endpoints import DEFAULT_HOST, SERVICES
from fragua_platform.errors import FailedPrecondition

# Below the range that systems hand out to clients, so that nobody takes a port between our look and the start.
_PORTS: Final = range(20_000, 32_000)
_MAX_RESTARTS: Final = 5
_STOP_SECONDS: Final = 30.0
_LOG_LINES_SHOWN: Final = 15


@asynccontextmanager
async def embedded_suite(data_dir: Path, log_file: Path, notice: Callable[[str], None]) -> AsyncIterator[int]:
    """The first port of a suite on `data_dir`; it is drained on the way out.

    A suite that is killed is started again, and its jobs go on. One that fails by itself ends the work inside this
    context with an error that shows the end of its log.
    """
    port = free_ports(len(SERVICES))
    log_file.parent.mkdir(parents=True, exist_ok=True)
    try:
        async with asyncio.TaskGroup() as group:
            supervisor = group.create_task(_keep_up(data_dir, port, log_file, notice))
            yield port
            supervisor.cancel()
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def _keep_up(data_dir: Path, port: int, log_file: Path, notice: Callable[[str], None]) -> None:
    with log_file.open("wb") as log:
        for _ in range(1 + _MAX_RESTARTS):
            process = await _start(data_dir, port, log)
            try:
                status = await process.wait()
            finally:
                await _stop(process)
            if status > 0:
                break
            notice("the suite was ended; starting it again, jobs go on")
    tail = "\n".join(log_file.read_text(errors="replace").splitlines()[-_LOG_LINES_SHOWN:])
    raise FailedPrecondition(f"the suite cannot run; {log_file} ends with:\n{tail}", reason="SUITE_FAILED")


async def _start(data_dir: Path, port: int, log: IO[bytes]) -> Process:
    command = [sys.executable, "-m", "fragua_cli", "up", "--lifeline", "--data-dir", str(data_dir), "--port", str(port)]
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=PIPE,  # the lifeline: it closes when this process dies
        stdout=log,
        stderr=log,
        start_new_session=True,  # Ctrl-C is for us; we stop the suite in order
    )


async def _stop(process: Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()


def free_ports(count: int) -> int:
    """The first of `count` neighbouring ports that nobody listens on."""
    for _ in range(200):
        first = random.choice(_PORTS)
        if all(_is_free(first + offset) for offset in range(count)):
            return first
    raise FailedPrecondition(f"no {count} neighbouring free ports between {_PORTS.start} and {_PORTS.stop}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((DEFAULT_HOST, port))
        except OSError:
            return False
        return True
