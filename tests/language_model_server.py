"""A language model's HTTP server for tests: OpenAI's chat completions and Ollama's chat, and every fault on demand."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.servers.process import free_port

Reply = Callable[["LanguageModelServer", BaseHTTPRequestHandler, dict[str, Any]], None]
"""Answers one request in its own way."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A client that went away is part of the test."""


class LanguageModelServer:
    """Answers every question with a new lesson about it; `faults` come first, one for each request."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        """Bodies, in the order in which they came."""
        self.headers: list[dict[str, str]] = []
        self.faults: list[Reply] = []
        self.write: Callable[[str, int], str] = lesson
        """What the model says to a question; the number tells the questions apart."""
        self.seconds = 0.0
        """How long it thinks about each."""
        self.usage = True
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", free_port()), _handler(self))

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def questions(self) -> list[str]:
        return [request["messages"][-1]["content"] for request in self.requests]

    def arrived(self, headers: dict[str, str], body: dict[str, Any]) -> tuple[int, Reply | None]:
        with self._lock:
            self.requests.append(body)
            self.headers.append(headers)
            return len(self.requests), self.faults.pop(0) if self.faults else None

    @contextmanager
    def running(self) -> Iterator[LanguageModelServer]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


def _handler(model: LanguageModelServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # in one piece: a second one would wait 40 ms for the acknowledgement of the first

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            number, fault = model.arrived(dict(self.headers), body)
            if fault:
                fault(model, self, body)
                return
            time.sleep(model.seconds)
            text = model.write(body["messages"][-1]["content"], number)
            match self.path:
                case "/v1/chat/completions":
                    send(self, 200, chat_completion(body["model"], text, usage=model.usage))
                case "/api/chat":
                    send(self, 200, ollama_message(body["model"], text))
                case _:
                    send(self, 404, {"error": {"message": "not found"}})

        def log_message(self, *_: Any) -> None:
            """Tests look at `requests`."""

    return Handler


def chat_completion(model: str, text: str, *, usage: bool = True, finish_reason: str = "stop") -> dict[str, Any]:
    """As OpenAI's reference documents it."""
    message = {"role": "assistant", "content": text, "refusal": None}
    completion: dict[str, Any] = {
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        "object": "chat.completion",
        "created": 1741569952,
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}],
    }
    if usage:
        completion["usage"] = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
    return completion


def ollama_message(model: str, text: str) -> dict[str, Any]:
    """As Ollama's reference documents it."""
    return {
        "model": model,
        "created_at": "2026-11-20T17:00:00.000000Z",
        "message": {"role": "assistant", "content": text},
        "done": True,
        "done_reason": "stop",
        "total_duration": 4883583458,
        "prompt_eval_count": 100,
        "eval_count": 50,
    }


def lesson(question: str, number: int) -> str:
    """A question and its answer unlike any other, in Spanish."""
    words = re.findall(r"[a-záéíóúñ]{4,}", question.lower()) or ["nada"]
    told = " ".join(words[number % len(words) :] + words[: number % len(words)])
    row = {
        "instruction": f"¿Qué enseña la lección {number} sobre {told}?",
        "output": f"La lección {number} enseña, con el ejemplo {number * 7}, que mañana será año nuevo: {told}.",
    }
    return json.dumps(row, ensure_ascii=False)


def record(question: str, number: int) -> str:
    """A requirement record in YAML, with nothing wrong with it."""
    sections = "\n".join(
        f"{name}:\n" + "\n".join(f"  - id: {prefix}00{item}\n    text: Cumple {prefix} {item}." for item in (1, 2))
        for name, prefix in (
            ("functional_requirements", "FR"),
            ("non_functional_requirements", "NFR"),
            ("constraints", "C"),
        )
    )
    description = f"Petición {number}: {' '.join(question.split())}. " + "Quien la hizo espera saber en qué va. " * 3
    return f"title: Seguimiento de la petición {number}\ndescription: '{description.strip()}'\n{sections}\n"


# --- faults


def status(code: int, **headers: str) -> Reply:
    def reply(_model: LanguageModelServer, handler: BaseHTTPRequestHandler, _body: dict[str, Any]) -> None:
        send(handler, code, {"error": {"message": "later", "type": "busy"}}, {**headers})

    return reply


def says(text: str, **options: Any) -> Reply:
    def reply(_model: LanguageModelServer, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        send(handler, 200, chat_completion(body["model"], text, **options))

    return reply


def raw(content: bytes) -> Reply:
    def reply(_model: LanguageModelServer, handler: BaseHTTPRequestHandler, _body: dict[str, Any]) -> None:
        send_bytes(handler, 200, content, {})

    return reply


def cut(_model: LanguageModelServer, handler: BaseHTTPRequestHandler, _body: dict[str, Any]) -> None:
    """Promises more than it sends."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')
    handler.close_connection = True


def stall(_model: LanguageModelServer, handler: BaseHTTPRequestHandler, _body: dict[str, Any]) -> None:
    time.sleep(3)
    handler.close_connection = True


def drip(_model: LanguageModelServer, handler: BaseHTTPRequestHandler, _body: dict[str, Any]) -> None:
    """A byte now and then, so that no connection ever looks dead."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    try:
        for _ in range(30):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.1)
    except OSError:
        pass
    handler.close_connection = True


def redirect(to: str) -> Reply:
    return status(307, Location=to)


def send(
    handler: BaseHTTPRequestHandler, code: int, content: dict[str, Any], headers: dict[str, str] | None = None
) -> None:
    send_bytes(handler, code, json.dumps(content, ensure_ascii=False).encode(), headers or {})


def send_bytes(handler: BaseHTTPRequestHandler, code: int, content: bytes, headers: dict[str, str]) -> None:
    handler.send_response(code)
    for name, value in {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    try:
        handler.wfile.write(content)
    except OSError:
        handler.close_connection = True
