"""A server that streams chats as OpenAI's and Ollama's references document it, from a thread of the test; and its faults.

It counts a token for every four bytes and eight for each turn, and can cut prompts silently, as real ones do.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.servers.process import free_port

Fault = Callable[["ChatServer", "ChatHandler", dict[str, Any]], None]
"""Answers one chat in its own way."""

EVENTS, LINES, JSON = "text/event-stream", "application/x-ndjson", "application/json"


@dataclass
class Reply:
    text: str
    ending: str = "stop"
    tokens: int | None = None
    """Said to be generated; one for every piece unless told otherwise."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_: Any) -> None:
        """A client that went away is part of the test."""


@dataclass
class ChatServer:
    model: str = "tutor"
    key: str = ""
    faults: list[Fault] = field(default_factory=list)
    """One for each of the first chats."""
    always: Fault | None = None
    """For every chat that has no fault of its own."""
    say: Callable[[dict[str, Any]], Reply] = lambda body: Reply(f"Respuesta a: {body['messages'][-1]['content']}")
    thinks: float = 0.0
    """Seconds before the first token."""
    streams: bool = True
    """Whether it heeds `stream`."""
    counts: bool = True
    """Whether it tells tokens."""
    cuts_at: int | None = None
    """Prompts beyond so many tokens are cut silently, whatever was asked for."""
    max_model_len: int | None = None
    lists_models: bool = True
    # --- Ollama's own
    version: str = "0.17.4"
    context_length: int = 4_096
    """Of the model."""
    grants: int | None = None
    """The context that it really loads models with; as asked for unless told otherwise."""
    knows_truncate: bool = True
    counts_what_is_new: bool = False
    """As 0.30.0 did: tokens that it still has from the question before are left out."""
    shown: dict[str, Any] = field(default_factory=dict)
    """Beside what `show` tells anyway."""
    # --- what happened
    requests: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    at_once: int = 0
    """The most chats that were under way together."""

    def __post_init__(self) -> None:
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._under_way = 0
        self._http = _Server(("127.0.0.1", free_port()), type("Handler", (ChatHandler,), {"chat": self}))

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    @property
    def url(self) -> str:
        """As OpenAI's clients are given it."""
        return f"{self.origin}/v1"

    @contextlib.contextmanager
    def running(self) -> Iterator[ChatServer]:
        thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.stopping.set()
            self._http.shutdown()
            thread.join()
            self._http.server_close()

    @contextlib.contextmanager
    def answering(self, headers: dict[str, str], body: dict[str, Any]) -> Iterator[Fault | None]:
        with self._lock:
            self.requests.append(body)
            self.headers.append(headers)
            self._under_way += 1
            self.at_once = max(self.at_once, self._under_way)
            fault = self.faults.pop(0) if self.faults else self.always
        try:
            yield fault
        finally:
            with self._lock:
                self._under_way -= 1

    def prompt_tokens(self, body: dict[str, Any]) -> int:
        return sum(len(turn["content"].encode("utf-8", "replace")) // 4 + 8 for turn in body["messages"])


class ChatHandler(BaseHTTPRequestHandler):
    chat: ChatServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments: Any) -> None:
        """Tests look at `requests`."""

    def do_GET(self) -> None:
        self.chat.paths.append(self.path)
        match self.path:
            case "/v1/models" if self.chat.lists_models:
                if self._knows_key():
                    model = {"id": self.chat.model, "object": "model"}
                    if self.chat.max_model_len:
                        model |= {"max_model_len": self.chat.max_model_len}  # type: ignore[dict-item]
                    self.send(200, {"object": "list", "data": [model]})
            case "/api/version":
                self.send(200, {"version": self.chat.version})
            case "/api/tags":
                self.send(200, {"models": [{"name": f"{self.chat.model}:latest", "digest": "ab" * 32}]})
            case "/api/ps":
                context = self.chat.grants or max(r["options"]["num_ctx"] for r in self.chat.requests)
                self.send(200, {"models": [{"name": f"{self.chat.model}:latest", "context_length": context}]})
            case _:
                self.send(404, {"error": {"message": "not found"}})

    def do_POST(self) -> None:
        self.chat.paths.append(self.path)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/api/show":
            self.send(200, self._show())
            return
        if not self._knows_key():
            return
        with self.chat.answering(dict(self.headers), body) as fault, contextlib.suppress(OSError):
            if fault is not None:
                fault(self.chat, self, body)
            elif self.path == "/v1/chat/completions":
                self._complete(body)
            elif self.path == "/api/chat":
                self._chat(body)
            else:
                self.send(404, {"error": {"message": "not found"}})

    # --- OpenAI

    def _complete(self, body: dict[str, Any]) -> None:
        if body["model"] != self.chat.model:
            self.send(404, {"error": {"message": "no such model", "code": "model_not_found"}})
            return
        reply = self.chat.say(body)
        pieces = pieces_of(reply.text)
        usage = {
            "prompt_tokens": min(self.chat.prompt_tokens(body), self.chat.cuts_at or 10**9),
            "completion_tokens": len(pieces) + 1 if reply.tokens is None else reply.tokens,
        }
        time.sleep(self.chat.thinks)
        if not (body.get("stream") and self.chat.streams):
            message = {"role": "assistant", "content": reply.text, "refusal": None}
            choice = {"index": 0, "message": message, "finish_reason": reply.ending}
            self.send(200, {"object": "chat.completion", "choices": [choice]} | self._usage(usage))
            return
        self.begin(EVENTS)
        self.event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]})
        for piece in pieces:
            self.event({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]})
        self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": reply.ending}]})
        if body.get("stream_options", {}).get("include_usage") and self.chat.counts:
            self.event({"choices": [], "usage": usage})
        self.write(b"data: [DONE]\n\n")
        self.end()

    def event(self, content: dict[str, Any]) -> None:
        self.write(b"data: " + json.dumps({"object": "chat.completion.chunk", **content}).encode() + b"\n\n")

    def _usage(self, usage: dict[str, int]) -> dict[str, Any]:
        return {"usage": usage} if self.chat.counts else {}

    def _knows_key(self) -> bool:
        if not self.chat.key or self.headers.get("Authorization") == f"Bearer {self.chat.key}":
            return True
        # Real ones repeat a part of the key; this one, all of it.
        said = f"Incorrect API key provided: {self.headers.get('Authorization')}"
        self.send(401, {"error": {"message": said, "code": "invalid_api_key"}})
        return False

    # --- Ollama

    def _show(self) -> dict[str, Any]:
        return {
            "template": "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}",
            "parameters": 'stop                           "<|im_end|>"\ntemperature                    0.7',
            "details": {"quantization_level": "Q8_0"},
            "model_info": {"general.architecture": "llama", "llama.context_length": self.chat.context_length},
        } | self.chat.shown

    def _chat(self, body: dict[str, Any]) -> None:
        context = self.chat.grants or body["options"]["num_ctx"]
        prompt = self.chat.prompt_tokens(body)
        if prompt > context and self.chat.knows_truncate and body.get("truncate") is False:
            self.send(400, {"error": "the input length exceeds the context length"})
            return
        earlier = [request["messages"] for request in self.chat.requests[:-1]]
        remembered = self.chat.counts_what_is_new and body["messages"] in earlier
        reply = self.chat.say(body)
        pieces = pieces_of(reply.text)
        time.sleep(self.chat.thinks)
        self.begin(LINES)
        for piece in pieces:
            self.line({"message": {"role": "assistant", "content": piece}, "done": False})
        counts = {
            "prompt_eval_count": 1 if remembered else min(prompt, context, self.chat.cuts_at or 10**9),
            "eval_count": len(pieces) + 1 if reply.tokens is None else reply.tokens,
            "eval_duration": 1_000_000,
        }
        durations = {"total_duration": 5_000_000, "load_duration": 1_000_000}
        last = {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": reply.ending}
        self.line(last | durations | (counts if self.chat.counts else {}))
        self.end()

    def line(self, content: dict[str, Any]) -> None:
        self.write(json.dumps({"model": self.chat.model, **content}).encode() + b"\n")

    # --- HTTP

    def send(self, status: int, content: dict[str, Any], **headers: str) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", JSON)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def begin(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def write(self, content: bytes) -> None:
        self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
        self.wfile.flush()

    def end(self) -> None:
        self.wfile.write(b"0\r\n\r\n")


def pieces_of(text: str) -> list[str]:
    """As a tokenizer might cut it; in the middle of a sign now and then."""
    return [text[start : start + 3] for start in range(0, len(text), 3)]


# --- faults


def status(code: int, **headers: str) -> Fault:
    def fault(_chat: ChatServer, handler: ChatHandler, _body: dict[str, Any]) -> None:
        handler.send(code, {"error": {"message": "something is wrong", "code": "some_trouble"}}, **headers)

    return fault


def refuses(code: int, error: dict[str, Any]) -> Fault:
    def fault(_chat: ChatServer, handler: ChatHandler, _body: dict[str, Any]) -> None:
        handler.send(code, {"error": error})

    return fault


def stalls(chat: ChatServer, handler: ChatHandler, _body: dict[str, Any]) -> None:
    """Says nothing at all."""
    chat.stopping.wait(30)
    handler.close_connection = True


def stalls_midway(kind: str) -> Fault:
    def fault(chat: ChatServer, handler: ChatHandler, _body: dict[str, Any]) -> None:
        handler.begin(kind)
        say(handler, kind, "Res")
        chat.stopping.wait(30)
        handler.close_connection = True

    return fault


def drips(kind: str) -> Fault:
    """A token now and then and without end, so that no connection ever looks dead."""

    def fault(chat: ChatServer, handler: ChatHandler, _body: dict[str, Any]) -> None:
        handler.begin(kind)
        while not chat.stopping.wait(0.05):
            say(handler, kind, "a")

    return fault


def drips_headers(chat: ChatServer, handler: ChatHandler, _body: dict[str, Any]) -> None:
    """Not even the head of the answer ends."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Wait: ")
    while not chat.stopping.wait(0.05):
        handler.wfile.write(b"a")
        handler.wfile.flush()


def sends(kind: str, content: bytes) -> Fault:
    """Whatever it is, as a whole and complete answer."""

    def fault(_chat: ChatServer, handler: ChatHandler, _body: dict[str, Any]) -> None:
        handler.begin(kind)
        handler.write(content)
        handler.end()

    return fault


def breaks_off(kind: str) -> Fault:
    """The stream ends in good order, and the answer does not."""

    def fault(_chat: ChatServer, handler: ChatHandler, _body: dict[str, Any]) -> None:
        handler.begin(kind)
        say(handler, kind, "Res")
        handler.end()

    return fault


def resets(kind: str) -> Fault:
    """The connection is gone in the middle of an answer, as when the server is killed."""

    def fault(_chat: ChatServer, handler: ChatHandler, _body: dict[str, Any]) -> None:
        handler.begin(kind)
        say(handler, kind, "Res")
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()
        handler.close_connection = True

    return fault


def floods(kind: str, size: int) -> Fault:
    def fault(_chat: ChatServer, handler: ChatHandler, _body: dict[str, Any]) -> None:
        handler.begin(kind)
        for _ in range(size // 1000):
            say(handler, kind, "ñ" * 500)
        handler.end()

    return fault


def say(handler: ChatHandler, kind: str, piece: str) -> None:
    if kind == EVENTS:
        handler.event({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]})
    else:
        handler.line({"message": {"role": "assistant", "content": piece}, "done": False})
