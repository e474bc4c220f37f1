"""The embedded suite, `fragua up`, as a process that tests can kill and start again on the same directory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.servers.process import free_port, listens, tell_guard

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_OFFSETS = {"dataset": 0, "trainer": 1, "evaluator": 2, "exporter": 3}


class EmbeddedSuite:
    """A context manager; `kill` is kill -9, `start` goes on where it stopped."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.port = _free_block(len(_OFFSETS))
        self._process: subprocess.Popen[bytes] | None = None

    def endpoint(self, service: str) -> str:
        return f"127.0.0.1:{self.port + _OFFSETS[service]}"

    def files(self, folder: str) -> list[Path]:
        """All files below a folder of the data directory."""
        return [path for path in (self.data_dir / folder).rglob("*") if path.is_file()]

    def start(self) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "fragua_cli", "up", "--data-dir", str(self.data_dir), "--port", str(self.port)]
        with (self.data_dir / "log").open("ab") as log:
            # Two threads of an engine wait for each other whenever something else runs, and tests run beside others.
            environment = dict(os.environ) | {"FRAGUA_ENGINE_THREADS": "1"}
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        tell_guard(f"watch {self._process.pid} {self.data_dir}")
        deadline = time.monotonic() + _START_SECONDS
        while not all(listens(self.port + offset) for offset in _OFFSETS.values()):
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError("the suite did not start:\n" + (self.data_dir / "log").read_text("utf-8")[-4000:])
            time.sleep(0.1)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        self._process.wait(_STOP_SECONDS)
        tell_guard(f"forget {self._process.pid}")
        self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _free_block(length: int) -> int:
    while True:
        first = free_port()
        if first + length < 32_000 and not any(listens(first + offset) for offset in range(length)):
            return first
