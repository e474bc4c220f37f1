"""Runs an engine as a child process: its records become calls, its end becomes a typed outcome.

A crash, a segfault or the kernel's out-of-memory killer ends the child, never the worker.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Awaitable, Callable
from enum import Enum
from pathlib import Path
from typing import Any

import structlog

from fragua_platform.errors import EngineFailure, FailureClass, Unavailable, Violation
from fragua_platform.jobs.engine import EXIT_INTERRUPTED, LIFELINE_VARIABLE

log = structlog.get_logger()

Record = dict[str, Any]
OnRecord = Callable[[Record], Awaitable[None]]

_MAX_RECORD_BYTES = 1024 * 1024
_STDERR_LINES = 40
_STDERR_TAIL_CHARACTERS = 4000


class Outcome(Enum):
    DONE = "done"
    INTERRUPTED = "interrupted"
    """Stopped by `interrupt`, with its state saved in a checkpoint."""


class EngineProcess:
    """One run of `python -m <module> JOB_DIR`."""

    def __init__(self, module: str, job_directory: Path) -> None:
        self._module = module
        self._job_directory = job_directory
        self._process: Process | None = None
        self._failure: Record | None = None
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)

    async def run(self, on_record: OnRecord) -> Outcome:
        """Start the engine and wait for its end. Cancelling this call kills the engine."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self._module,
            str(self._job_directory),
            stdin=PIPE,  # the lifeline: it closes when this process dies
            stdout=PIPE,
            stderr=PIPE,
            limit=_MAX_RECORD_BYTES,
            env=_environment(),
            start_new_session=True,
        )
        self._process = process
        try:
            async with asyncio.TaskGroup() as readers:
                readers.create_task(self._read_records(process, on_record))
                readers.create_task(self._read_stderr(process))
            status = await process.wait()
        except ExceptionGroup as group:
            raise group.exceptions[0] from group
        finally:
            self.kill()
            await process.wait()
        return self._outcome(status)

    def interrupt(self) -> None:
        """Ask the engine to save its state and stop; it does so at its next safe point."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the engine and whatever it started, now."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                return

    async def _read_records(self, process: Process, on_record: OnRecord) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            try:
                record = json.loads(line)
            except ValueError:
                log.warning("engine_printed_no_record", line=line[:200].decode(errors="replace"))
                continue
            if record.get("record") == "failure":
                self._failure = record
            else:
                await on_record(record)

    async def _read_stderr(self, process: Process) -> None:
        assert process.stderr is not None
        # By chunks: a progress bar may write megabytes without a line end.
        rest = ""
        while chunk := await process.stderr.read(8192):
            *lines, rest = (rest + chunk.decode(errors="replace")).replace("\r", "\n").split("\n")
            rest = rest[-8192:]
            self._stderr.extend(line for line in lines if line.strip())
        if rest.strip():
            self._stderr.append(rest)

    def _outcome(self, status: int) -> Outcome:
        if status == 0:
            return Outcome.DONE
        if status == EXIT_INTERRUPTED:
            return Outcome.INTERRUPTED
        tail = "\n".join(self._stderr)[-_STDERR_TAIL_CHARACTERS:]
        log.warning("engine_failed", module=self._module, status=status, stderr=tail)
        if self._failure is not None:
            raise _reported(self._failure)
        if status == -signal.SIGKILL:
            raise Unavailable("the engine was killed, most likely for lack of memory", reason="ENGINE_KILLED")
        if status == -signal.SIGTERM:
            raise Unavailable("the engine was told to stop before it could save anything", reason="ENGINE_KILLED")
        cause = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        raise EngineFailure(f"the engine ended with {cause}; its last words:\n{tail}", reason="ENGINE_CRASHED")


def _reported(failure: Record) -> EngineFailure:
    return EngineFailure(
        str(failure["message"]),
        violations=[Violation(v["field"], v["description"]) for v in failure["violations"]],
        reason=str(failure["reason"]),
        failure_class=FailureClass(failure["failure_class"]),
    )


def _environment() -> dict[str, str]:
    """The engine needs no credentials, so it gets none: only `FRAGUA_ENGINE_*` of our own settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("FRAGUA_", "OTEL_", "AWS_", "MINIO_")) or name.startswith("FRAGUA_ENGINE_")
    }
    return kept | {LIFELINE_VARIABLE: "1", "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
