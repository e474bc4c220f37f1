"""Runs an engine as a child process: its records become calls, its end becomes a typed outcome.

A crash, a segfault or the kernel's out-of-memory killer ends the child, never the worker.
"""

from __future__ import annotations

import asyncio
import codecs
import os
import signal
import sys
from asyncio import StreamReader
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from enum import Enum
from pathlib import Path

import structlog

from fragua_platform.errors import EngineFailure, Unavailable, Violation
from fragua_platform.jobs.engine import EXIT_INTERRUPTED, LIFELINE_VARIABLE
from fragua_platform.jobs.records import CheckpointRecord, FailureRecord, ProgressRecord, parse_record

log = structlog.get_logger()

OnRecord = Callable[[ProgressRecord | CheckpointRecord], None]

_MAX_RECORD_BYTES = 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_STDERR_LINES = 40
_STDERR_LINE_CHARACTERS = 2000
_STDERR_TAIL_CHARACTERS = 4000
_EXIT_POLL_SECONDS = 0.05

# The engine needs no credentials, so it gets none: not what looks like a secret is held back, but what looks like
# the machine, its libraries' tuning and the engines' own settings is let through.
_KEPT_VARIABLES = (
    "HOME", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "SHELL", "TEMP", "TERM", "TMP", "TMPDIR", "TZ",
    "USER", "VIRTUAL_ENV", "FRAGUA_COMMIT",
)  # fmt: skip
_KEPT_PREFIXES = (
    "FRAGUA_ENGINE_", "LC_", "XDG_", "PYTHON",
    "CUDA_", "HIP_", "NCCL_", "NVIDIA_", "ROCR_", "KMP_", "MKL_", "OMP_", "OPENBLAS_", "GGML_", "TORCH_", "PYTORCH_",
)  # fmt: skip


class Outcome(Enum):
    DONE = "done"
    INTERRUPTED = "interrupted"
    """Stopped because it was told to; what it saved is in a checkpoint."""


class EngineProcess:
    """One run of `python -m <module> JOB_DIR`."""

    def __init__(self, module: str, job_directory: Path) -> None:
        self._module = module
        self._job_directory = job_directory
        self._process: Process | None = None
        self._interrupted = False
        self._failure: FailureRecord | None = None
        self._memory_bytes = 0.0
        """The most that the engine said it held, if it says such a thing."""
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
            env=engine_environment(os.environ),
            start_new_session=True,
        )
        self._process = process
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            if self._interrupted:
                _signal_group(process, signal.SIGTERM)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read_records(process.stdout, on_record))
                tasks.create_task(self._read_stderr(process.stderr))
                tasks.create_task(_end_of(process))
        except ExceptionGroup as group:
            raise group.exceptions[0] from group
        finally:
            _signal_group(process, signal.SIGKILL)
            await process.wait()
        assert process.returncode is not None
        return self._outcome(process.returncode)

    def interrupt(self) -> None:
        """Ask the engine to save its state and stop; it does so at its next safe point."""
        self._interrupted = True
        if self._process is not None and self._process.returncode is None:
            _signal_group(self._process, signal.SIGTERM)

    async def _read_records(self, stdout: StreamReader, on_record: OnRecord) -> None:
        async for line in _lines(stdout):
            match parse_record(line):
                case None:
                    log.warning("engine_printed_no_record", line=line[:200].decode(errors="replace"))
                case FailureRecord() as failure:
                    self._failure = failure
                case record:
                    if isinstance(record, ProgressRecord):
                        self._memory_bytes = max(self._memory_bytes, record.metrics.get("memory_bytes", 0.0))
                    on_record(record)

    async def _read_stderr(self, stderr: StreamReader) -> None:
        # By chunks: a progress bar may write megabytes without a line end.
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        rest = ""
        while chunk := await stderr.read(_CHUNK_BYTES):
            *lines, rest = (rest + decoder.decode(chunk)).replace("\r", "\n").split("\n")
            rest = rest[-_STDERR_LINE_CHARACTERS:]
            self._stderr.extend(line[-_STDERR_LINE_CHARACTERS:] for line in lines if line.strip())
        if rest.strip():
            self._stderr.append(rest)

    def _outcome(self, status: int) -> Outcome:
        if status == 0:
            return Outcome.DONE
        # It may be told to stop before it has got as far as listening for that.
        if status == EXIT_INTERRUPTED or (self._interrupted and status == -signal.SIGTERM):
            return Outcome.INTERRUPTED
        tail = "\n".join(self._stderr)[-_STDERR_TAIL_CHARACTERS:]
        log.warning("engine_failed", module=self._module, status=status, stderr=tail)
        if self._failure is not None:
            raise _reported(self._failure)
        if status == -signal.SIGKILL:
            held = f"; it told of {int(self._memory_bytes) >> 20} MiB at most" if self._memory_bytes else ""
            raise Unavailable(f"the engine was killed, most likely for lack of memory{held}", reason="ENGINE_KILLED")
        if status == -signal.SIGTERM:
            raise Unavailable("the engine was told to stop before it could save anything", reason="ENGINE_KILLED")
        cause = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        # The first line is for everybody, the others may quote the user's data.
        raise EngineFailure(f"the engine ended with {cause}; its last words:\n{tail}", reason="ENGINE_CRASHED")


async def _end_of(process: Process) -> None:
    """Wait for the engine itself, then end whatever it started: that may hold its pipes open for ever."""
    # Process.wait() of Python 3.11 waits for the pipes as well.
    while process.returncode is None:  # noqa: ASYNC110
        await asyncio.sleep(_EXIT_POLL_SECONDS)
    _signal_group(process, signal.SIGKILL)


def _signal_group(process: Process, number: signal.Signals) -> None:
    """The engine leads a session of its own, so its children are reached, too."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):  # the latter is how macOS says that only a zombie is left
        return


async def _lines(stream: StreamReader) -> AsyncIterator[bytes]:
    """Lines without their ends; one that is longer than any record is left out."""
    rest, too_long = b"", False
    while chunk := await stream.read(_CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if not too_long:
                yield line
            too_long = False
        if len(rest) > _MAX_RECORD_BYTES:
            rest, too_long = b"", True
    if rest and not too_long:
        yield rest


def _reported(failure: FailureRecord) -> EngineFailure | Unavailable:
    return (Unavailable if failure.retry else EngineFailure)(
        failure.message,
        violations=[Violation(violation.field, violation.description) for violation in failure.violations],
        reason=failure.reason,
        failure_class=failure.failure_class,
    )


def engine_environment(environment: Mapping[str, str]) -> dict[str, str]:
    kept = {
        name: value for name, value in environment.items() if name in _KEPT_VARIABLES or name.startswith(_KEPT_PREFIXES)
    }
    return kept | {LIFELINE_VARIABLE: "1", "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
