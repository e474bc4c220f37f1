"""A server that behaves as Ollama's API documentation says, for the calls that publishing makes; it can be made to fail.

Blobs are checked against their digest, a model is made of blobs that are there, and `create` streams one JSON object per
line. It keeps everything in memory and runs in a thread of the test, on a true socket.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.servers.process import free_port

_CHUNK = 64 * 1024


@dataclass
class Faults:
    """What shall go wrong; each is off at first."""

    die_after_bytes: int = 0
    """Of a blob: the connection is cut there, as when the server is killed."""
    fail: dict[str, int] = field(default_factory=dict)
    """Status by path prefix, e.g. `{"/api/create": 500}`."""
    stall: str = ""
    """A path prefix whose calls are never answered."""
    break_create: bool = False
    """The stream of `create` ends before `success`."""
    refuse_in_stream: str = ""
    """An error that `create` reports after its 200, as it does for files that it cannot read."""
    other_template: str = ""
    """What `show` says instead of the template that was given."""


class OllamaServer:
    def __init__(self, version: str = "0.17.4") -> None:
        self.version = version
        self.blobs: dict[str, bytes] = {}
        self.models: dict[str, dict[str, Any]] = {}
        """The requests that made them, by name."""
        self.calls: list[str] = []
        self.received_bytes = 0
        self.faults = Faults()
        self.port = free_port()
        self.stopping = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def digest_of(self, name: str) -> str:
        return hashlib.sha256(json.dumps(self.models[name], sort_keys=True).encode()).hexdigest()

    def start(self) -> None:
        self.stopping.clear()
        handler = type("Handler", (_Handler,), {"ollama": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, args=(0.02,), name="ollama", daemon=True).start()

    def stop(self) -> None:
        """What it has stays; nothing answers."""
        self.stopping.set()
        self._http.shutdown()
        self._http.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Handler(BaseHTTPRequestHandler):
    ollama: OllamaServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments: Any) -> None:
        """Tests tell what they need to know."""

    def do_GET(self) -> None:
        self._answer({"/api/version": self._version, "/api/tags": self._tags})

    def do_HEAD(self) -> None:
        self._answer({"/api/blobs/": self._head_blob})

    def do_POST(self) -> None:
        self._answer({"/api/blobs/": self._post_blob, "/api/create": self._create, "/api/show": self._show})

    def _answer(self, calls: dict[str, Any]) -> None:
        self.ollama.calls.append(f"{self.command} {self.path}")
        faults = self.ollama.faults
        if faults.stall and self.path.startswith(faults.stall):
            self.ollama.stopping.wait(30)
            self.close_connection = True
            return
        for path, status in faults.fail.items():
            if self.path.startswith(path):
                self.close_connection = True
                self._json(status, {"error": "something went wrong"})
                return
        for path, call in calls.items():
            if self.path == path or (path.endswith("/") and self.path.startswith(path)):
                call()
                return
        self.send_error(404, "404 page not found")

    def _version(self) -> None:
        self._json(200, {"version": self.ollama.version})

    def _tags(self) -> None:
        models = [
            {"name": name, "model": name, "digest": self.ollama.digest_of(name), "details": {"format": "gguf"}}
            for name in self.ollama.models
        ]
        self._json(200, {"models": models})

    def _head_blob(self) -> None:
        digest = self._digest()
        if digest:
            self._json(200 if digest in self.ollama.blobs else 404, None)

    def _post_blob(self) -> None:
        digest = self._digest()
        if not digest:
            return
        if digest in self.ollama.blobs:
            self.close_connection = True  # The body is not read.
            self._json(200, None)
            return
        content = bytearray()
        length = int(self.headers["Content-Length"])
        while len(content) < length:
            piece = self.rfile.read(min(_CHUNK, length - len(content)))
            content += piece
            self.ollama.received_bytes += len(piece)
            dies = self.ollama.faults.die_after_bytes
            if not piece or (dies and len(content) >= dies):
                self.close_connection = True
                return
        if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
            self._json(400, {"error": "digest mismatch"})
            return
        self.ollama.blobs[digest] = bytes(content)
        self._json(201, None)

    def _create(self) -> None:
        request = self._body()
        name = str(request.get("model", ""))
        if not re.fullmatch(r"(\w[\w.-]*/)?\w[\w.-]*:\w[\w.-]*", name):
            self._json(400, {"error": "invalid model name"})
            return
        files = request.get("files") or {}
        if not files:
            self._json(400, {"error": "neither 'from' or 'files' was specified"})
            return
        for file, digest in files.items():
            if digest not in self.ollama.blobs:
                self._json(400, {"error": f"blob not found for {file} (digest {digest})"})
                return
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in self._steps(name, request):
            encoded = json.dumps(line).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(encoded), encoded))
        self.wfile.write(b"0\r\n\r\n")

    def _steps(self, name: str, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        faults = self.ollama.faults
        yield {"status": "parsing GGUF"}
        if faults.refuse_in_stream:
            yield {"error": faults.refuse_in_stream, "status": 400}
            return
        for digest in request["files"].values():
            if not self.ollama.blobs[digest].startswith(b"GGUF"):
                yield {"error": "supplied file was not in GGUF format", "status": 400}
                return
            yield {"status": f"using existing layer {digest}"}
        if faults.break_create:
            return
        self.ollama.models[name] = request
        yield {"status": "writing manifest"}
        yield {"status": "success"}

    def _show(self) -> None:
        name = str(self._body().get("model", ""))
        if name not in self.ollama.models:
            self._json(404, {"error": f"model '{name}' not found"})
            return
        model = self.ollama.models[name]
        values = {key: value if isinstance(value, list) else [value] for key, value in model["parameters"].items()}
        self._json(
            200,
            {
                "template": self.ollama.faults.other_template or model["template"],
                "parameters": "\n".join(f"{key:<30} {each}" for key, held in values.items() for each in held),
                "details": {"format": "gguf"},
                # Ollama leaves out what is empty.
                **{key: model[key] for key in ("system", "license") if model.get(key)},
            },
        )

    def _digest(self) -> str:
        digest = self.path.removeprefix("/api/blobs/")
        if re.fullmatch("sha256:[0-9a-f]{64}", digest):
            return digest
        self._json(400, {"error": "invalid digest format"})
        return ""

    def _body(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return body

    def _json(self, status: int, content: dict[str, Any] | None) -> None:
        body = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
