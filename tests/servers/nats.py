"""A NATS server with JetStream on, storing to disk."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import cache
from urllib.request import urlopen

from tests.servers.process import Server, ServerMissing, fetched_servers, free_port

MINIMUM_VERSION = (2, 10)


class NatsServer(Server):
    name = "nats"

    def __init__(self) -> None:
        self._program = nats_program()
        super().__init__()
        self._monitor_port = free_port()

    @property
    def url(self) -> str:
        return f"nats://{self.address}"

    def command(self) -> list[str]:
        return [
            self._program,
            *("--addr", "127.0.0.1", "--port", str(self.port)),
            *("--http_port", str(self._monitor_port)),
            *("--jetstream", "--store_dir", str(self.home / "jetstream")),
        ]

    def answers(self) -> bool:
        """JetStream recovers its streams after the port opens; only then is the server healthy."""
        try:
            with urlopen(f"http://127.0.0.1:{self._monitor_port}/healthz", timeout=2) as answer:
                return bool(json.load(answer)["status"] == "ok")
        except OSError:
            return False

    def clear(self) -> None:
        """Forgets every stream and consumer; clients have to reconnect."""
        self.stop()
        shutil.rmtree(self.home / "jetstream", ignore_errors=True)
        self.start()


@cache
def nats_program() -> str:
    candidates = [shutil.which("nats-server"), str(fetched_servers() / "nats/usr/sbin/nats-server")]
    for program in filter(None, candidates):
        try:
            version = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
        except OSError:
            continue
        found = re.search(r"v(\d+)\.(\d+)", version)
        if found and (int(found[1]), int(found[2])) >= MINIMUM_VERSION:
            return program
    raise ServerMissing("no NATS server 2.10 or newer: run scripts/fetch_servers.sh, or put nats-server on PATH")
