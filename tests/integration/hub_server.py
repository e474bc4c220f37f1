"""A model hub on this machine: the few endpoints of the Hugging Face protocol that fetching a model takes."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.servers.process import free_port

HUB_ID = "instituto/tutor-3b"
REVISION = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class HubServer:
    folder: Path
    """The files of the one model that it has."""
    port: int = field(default_factory=free_port)
    token: str = ""
    """What a client must show; anybody may read when empty."""
    broken: set[str] = field(default_factory=set)
    """Files that it fails to deliver."""
    lying: set[str] = field(default_factory=set)
    """Files that it announces with another digest."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Which file, and from which byte on (`Range`)."""

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def listing(self) -> bytes:
        files = [self._described(path) for path in sorted(self.folder.iterdir())]
        return json.dumps({"id": HUB_ID, "sha": REVISION, "siblings": files}).encode()

    def _described(self, path: Path) -> dict[str, object]:
        content = path.read_bytes()
        described: dict[str, object] = {"rfilename": path.name, "size": len(content)}
        if path.suffix == ".safetensors":
            digest = "0" * 64 if path.name in self.lying else hashlib.sha256(content).hexdigest()
            described["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 130}
        return described


@contextmanager
def hub_server(folder: Path) -> Iterator[HubServer]:
    hub = HubServer(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
                self._answer(403, b"{}", {"X-Error-Code": "GatedRepo"})
            elif self.path.split("?")[0] == f"/api/models/{HUB_ID}/revision/{REVISION}":
                self._answer(200, hub.listing(), {"Content-Type": "application/json"})
            elif self.path.startswith(f"/{HUB_ID}/resolve/{REVISION}/"):
                self._deliver(self.path.rpartition("/")[2])
            elif HUB_ID in self.path:
                self._answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            else:
                self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})

        def _deliver(self, name: str) -> None:
            reach = self.headers.get("Range", "")
            hub.asked.append((name, reach))
            if name in hub.broken:
                self._answer(500, b"", {})
                return
            content = (hub.folder / name).read_bytes()
            start = int(reach.removeprefix("bytes=").removesuffix("-")) if reach else 0
            self._answer(206 if reach else 200, content[start:], {})

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", hub.port), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
