"""Child processes for code that is not ours: started apart, watched, and ended with all that they started."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

MAX_PROCESSES: Final = 64
"""Beside the child itself."""

_ROUNDS = 1_000
_LOOK_AFTER = 0.05
_LOOK_EVERY = 0.1
_KEPT_VARIABLES = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH")


class Died(Exception):
    """The child ended, or closed its output."""


class TimedOut(Exception):
    """There was no answer in time."""


class TooMuch(Exception):
    """The child wrote more than it may, or what nobody asked for."""


class TooManyProcesses(Exception):
    """The child started more processes than it may."""


class Child:
    """A process in a session of its own, with pipes to its standard input and output."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], directory: Path) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd=directory,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin.fileno(), self._process.stdout.fileno()
        for descriptor in (self._input, self._output):
            os.set_blocking(descriptor, False)
        self._rest = b""

    def ask(self, request: bytes, seconds: float, max_bytes: int) -> bytes:
        """The line that answers a line. Raises Died, TimedOut, TooMuch or TooManyProcesses; then only `end` is left."""
        if self._rest:
            raise TooMuch
        with self._waiting() as waiting:
            waiting.register(self._input, selectors.EVENT_WRITE)
            waiting.register(self._output, selectors.EVENT_READ)
            received = self._exchange(waiting, memoryview(request), seconds, max_bytes, until_end=False)
        line, self._rest = received.split(b"\n", 1)
        return line

    def run(self, request: bytes, seconds: float, max_bytes: int) -> bytes:
        """All that it writes until it closes its output, after it got the request and the end of its input."""
        with self._waiting() as waiting:
            waiting.register(self._input, selectors.EVENT_WRITE)
            waiting.register(self._output, selectors.EVENT_READ)
            return self._exchange(waiting, memoryview(request), seconds, max_bytes, until_end=True)

    def end(self) -> None:
        """Kill it with everything in its session; in a process namespace of its own, with everything it started."""
        for _ in range(_ROUNDS):  # what is started while we look is found by the next look
            for process in (self._process.pid, *_in_session(self._process.pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            if self._process.poll() is not None and not _in_session(self._process.pid):
                break
            time.sleep(0.001)
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        self._process.wait()

    def _exchange(
        self,
        waiting: selectors.BaseSelector,
        request: memoryview,
        seconds: float,
        max_bytes: int,
        *,
        until_end: bool,
    ) -> bytes:
        started = time.monotonic()
        look_at = started + _LOOK_AFTER
        received = bytearray()
        while True:
            now = time.monotonic()
            if now - started >= seconds:
                raise TimedOut
            if now >= look_at:
                look_at = now + _LOOK_EVERY
                if len(_in_session(self._process.pid)) > MAX_PROCESSES + 3:  # with what starts the child, and itself
                    raise TooManyProcesses
            for key, _ in waiting.select(min(started + seconds, look_at) - now):
                if key.fd == self._input:
                    request = self._send(waiting, request, until_end=until_end)
                    continue
                part = os.read(self._output, 64 * 1024)
                received += part
                if len(received) > max_bytes:
                    raise TooMuch
                if not part:
                    if until_end:
                        return bytes(received)
                    raise Died
                if not until_end and b"\n" in part:
                    return bytes(received)

    def _send(self, waiting: selectors.BaseSelector, request: memoryview, *, until_end: bool) -> memoryview:
        try:
            request = request[os.write(self._input, request) :]
        except BrokenPipeError as gone:
            if not until_end:
                raise Died from gone
            request = request[:0]
        if not request:
            waiting.unregister(self._input)
            if until_end and self._process.stdin is not None:
                with contextlib.suppress(OSError):
                    self._process.stdin.close()
        return request

    @staticmethod
    def _waiting() -> selectors.BaseSelector:
        return selectors.DefaultSelector()


def clean_environment(home: Path, kept: Sequence[str] = _KEPT_VARIABLES) -> dict[str, str]:
    """Without the engine's own variables, which may hold keys; libraries keep to one thread."""
    environment = {name: value for name, value in os.environ.items() if name in kept}
    # Threads take address space, of which the child has little.
    environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return environment | {
        "HOME": str(home),
        "TMPDIR": str(home),
        "MALLOC_ARENA_MAX": "2",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@cache
def guard() -> tuple[str, ...]:
    """What to put before a command so that it ends with us, and everything it starts with it, as far as this system lets us.

    Without process namespaces, what leaves the session of the child may outlive it.
    """
    command: tuple[str, ...] = ()
    if (setpriv := shutil.which("setpriv")) and works((setpriv, "--pdeathsig", "KILL", "true")):
        command = (setpriv, "--pdeathsig", "KILL")
    if unshare := shutil.which("unshare"):
        user = () if os.geteuid() == 0 else ("--user", "--map-current-user")
        namespace = (unshare, *user, "--pid", "--fork", "--kill-child")
        if works((*command, *namespace, "true")):
            command += namespace
    return command


def works(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=10).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def process_limit(*, own_user_namespace: bool) -> int:
    """For RLIMIT_NPROC, which counts all processes and threads of the user, this child's or not.

    In a user namespace of its own the child is counted alone, but not by kernels before 5.14. Elsewhere other containers
    of the same user count, whom we do not see; so the limit is only the last resort there, and `Child` counts.
    """
    mine = 0
    for task in Path("/proc").glob("[0-9]*/task/*"):
        with contextlib.suppress(OSError):
            mine += task.stat().st_uid == os.getuid()
    return mine + (MAX_PROCESSES if own_user_namespace else 16 * MAX_PROCESSES)


def _in_session(session: int) -> list[int]:
    """Without those that ended and wait for their parent."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            with contextlib.suppress(OSError, IndexError, ValueError):
                # The name in parentheses may hold anything; after it come the state, two others, and the session.
                fields = (process / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == session and fields[0] not in "ZX":
                    found.append(int(process.name))
    return found
