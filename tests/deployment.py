"""The suite as it is deployed: four services, each a `serve` and a `work` process, on real servers. All killable."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import NatsServer, PostgresServer, S3Server, Server
from tests.servers.process import free_port, listens, tell_guard

SERVICES = ("dataset", "trainer", "evaluator", "exporter")
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0


class SuiteProcess:
    """One process of one service: `python -m fragua_<service> <command>`."""

    def __init__(self, service: str, command: str, environment: dict[str, str], folder: Path) -> None:
        self._arguments = [sys.executable, "-m", f"fragua_{service}", command]
        self._environment = environment
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._arguments, env=self._environment, stdout=log, stderr=log)
        tell_guard(f"watch {self._process.pid} {self._folder}")

    @property
    def ended(self) -> bool:
        """Whether it stopped by itself, which a supervisor would notice."""
        return self._process is not None and self._process.poll() is not None

    def children(self) -> list[int]:
        """Process ids of what it started: a worker's engine, while it works. Nobody is found without /proc."""
        if self._process is None:
            return []
        try:
            listed = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        except FileNotFoundError:
            return []
        return [int(pid) for pid in listed.split()]

    def log_tail(self, lines: int = 20) -> str:
        return "\n".join((self._folder / "log").read_text("utf-8", "replace").splitlines()[-lines:])

    def end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        tell_guard(f"forget {self._process.pid}")
        self._process = None


@dataclass(frozen=True)
class Deployment:
    ports: dict[str, int]
    """Of the APIs, by service."""
    processes: dict[str, SuiteProcess]
    """By name: `trainer-serve`, `trainer-work`…"""
    servers: dict[str, Server]
    databases: dict[str, str]
    """URLs, by service."""
    artifacts_url: str

    def endpoint(self, service: str) -> str:
        return f"127.0.0.1:{self.ports[service]}"

    def kill(self, name: str) -> None:
        """kill -9 a process of the suite or a server."""
        if name in self.servers:
            self.servers[name].kill()
        else:
            self.processes[name].end(signal.SIGKILL)

    def start(self, name: str) -> None:
        """Bring back what was killed, as a supervisor would."""
        if name in self.servers:
            self.servers[name].start()
        else:
            self.processes[name].start()


@contextmanager
def deployed(folder: Path, nats: NatsServer, postgres: PostgresServer, s3: S3Server) -> Iterator[Deployment]:
    """Migrate and start everything on a fresh database per service and a fresh bucket; stop it on the way out."""
    ports = {service: free_port() for service in SERVICES}
    artifacts_url = s3.url_of(s3.create_bucket())
    databases: dict[str, str] = {}
    shared = {
        "EVENTS_URL": nats.url,
        "ARTIFACTS_URL": artifacts_url,
        "ARTIFACTS_ACCESS_KEY": s3.access_key,
        "ARTIFACTS_SECRET_KEY": s3.secret_key,
        "LEASE_SECONDS": "3",
        "DRAIN_SECONDS": "5",
        "MAX_ATTEMPTS": "20",
        "ENGINE_THREADS": "1",
    } | {f"{service.upper()}_ENDPOINT": f"127.0.0.1:{port}" for service, port in ports.items()}
    processes: dict[str, SuiteProcess] = {}
    with ExitStack() as stack:
        for service in SERVICES:
            url = databases[service] = postgres.create_database()
            stack.callback(postgres.drop_database, url)
            own = {"DATABASE_URL": url, "DATA_DIR": str(folder / service), "PORT": str(ports[service])}
            environment = dict(os.environ) | {f"FRAGUA_{name}": value for name, value in (shared | own).items()}
            migrate = [sys.executable, "-m", f"fragua_{service}", "migrate"]
            subprocess.run(migrate, env=environment, check=True, timeout=60, capture_output=True)
            for command in ("serve", "work"):
                name = f"{service}-{command}"
                processes[name] = SuiteProcess(service, command, environment, folder / name)
                stack.callback(processes[name].end, signal.SIGTERM)
        for process in processes.values():
            process.start()
        deadline = time.monotonic() + _START_SECONDS
        while not all(listens(port) for port in ports.values()):
            if time.monotonic() > deadline:
                raise RuntimeError("the services did not start; their logs are in " + str(folder))
            time.sleep(0.1)
        servers: dict[str, Server] = {"nats": nats, "postgres": postgres, "s3": s3}
        yield Deployment(ports, processes, servers, databases, artifacts_url)
