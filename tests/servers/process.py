"""What the three servers have in common: a process on a loopback port that can be killed and comes back as it was."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO, Self

START_SECONDS = 30.0
STOP_SECONDS = 20.0
REPOSITORY = Path(__file__).resolve().parents[2]


class ServerMissing(Exception):
    """The server's program is not on this machine; the message says how to get it."""


class Server(ABC):
    """A server process with its own port and data folder, both of which survive `kill` and `restart`.

    Used as a context manager it starts on entry; on exit it stops and its data is deleted.
    """

    name: str
    user: str | None = None
    """Runs the server, when that must not be us."""
    stop_signal = signal.SIGTERM

    def __init__(self) -> None:
        self.port = free_port()
        # Not in pytest's tmp_path, which other users may not enter.
        self.home = Path(tempfile.mkdtemp(prefix=f"fragua-{self.name}-"))
        if self.user is not None:
            shutil.chown(self.home, self.user)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @abstractmethod
    def command(self) -> list[str]: ...

    @abstractmethod
    def answers(self) -> bool:
        """Whether a client gets a true answer, not only a connection."""

    def environment(self) -> dict[str, str]:
        return {}

    def start(self) -> None:
        """Starts the server, or does nothing when it runs, and returns once it answers."""
        deadline = time.monotonic() + START_SECONDS
        if self._process is None:
            self._spawn()
        while not (listens(self.port) and self.answers()):
            if time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{self.name} did not answer within {START_SECONDS:g} s:\n{self.log_tail()}")
            if self._process is None or self._process.poll() is not None:
                self._reap()
                # Right after a kill the port or the data may be held for a moment by what the old process left.
                time.sleep(0.2)
                self._spawn()
            time.sleep(0.02)

    def stop(self) -> None:
        """Asks the server to end in good order; data stays."""
        if self._process is not None:
            self._process.send_signal(self.stop_signal)
            self._reap()

    def kill(self) -> None:
        """SIGKILL, as an out-of-memory kill or a power cut would do it; data stays."""
        if self._process is not None:
            self._process.kill()
            self._reap()

    def restart(self) -> None:
        self.stop()
        self.start()

    def log_tail(self, lines: int = 20) -> str:
        return "\n".join((self.home / "log").read_text("utf-8", "replace").splitlines()[-lines:])

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _spawn(self) -> None:
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._as_user(), *self.command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment()},
                start_new_session=True,  # Ctrl-C is for pytest, which then stops the servers in order
            )
        tell_guard(f"watch {self._process.pid} {self.home}")

    def _as_user(self) -> list[str]:
        """Not `Popen(user=…)`: that makes Python fork, and gRPC's fork handlers crash the child of a busy test."""
        if self.user is None:
            return []
        return ["setpriv", f"--reuid={self.user}", f"--regid={group_of(self.user)}", "--clear-groups", "--"]

    def _reap(self) -> None:
        if self._process is None:
            return
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        tell_guard(f"forget {self._process.pid}")
        self._process = None


def free_port() -> int:
    """A free loopback port below the range that the kernel gives to outgoing connections."""
    for port in random.SystemRandom().sample(range(10_000, 32_000), 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free loopback port between 10000 and 32000")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def group_of(user: str) -> int:
    import pwd  # absent on Windows, where nobody is root

    return pwd.getpwnam(user).pw_gid


@cache
def fetched_servers() -> Path:
    """Where scripts/fetch_servers.sh puts what it fetches."""
    script = REPOSITORY / "scripts" / "fetch_servers.sh"
    return Path(subprocess.run([script, "where"], check=True, capture_output=True, text=True).stdout.strip())


@cache
def _guard_input() -> IO[str]:
    guard = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("guard.py")],
        stdin=subprocess.PIPE,
        text=True,
        bufsize=1,
        start_new_session=True,
    )
    assert guard.stdin is not None
    return guard.stdin


def tell_guard(news: str) -> None:
    _guard_input().write(f"{news}\n")
