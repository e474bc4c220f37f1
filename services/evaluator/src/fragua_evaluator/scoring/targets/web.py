"""Asks one HTTP service, within limits, whatever it answers: shared by Ollama and OpenAI-compatible endpoints."""

from __future__ import annotations

import json
import math
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from contextlib import AbstractContextManager
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import httpx

from fragua_platform.errors import InvalidInput, Unavailable

_CONNECT_SECONDS: Final = 10.0
_OPENING_SECONDS: Final = 10.0
"""For what is asked before the first question: nothing can stop an opening, so it has to be short."""
_GRACE_SECONDS: Final = 1.0
_MAX_DOCUMENT_BYTES: Final = 16 * 2**20
"""A list of models, or all that Ollama tells of one, its licence included."""
_LATER: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
"""Statuses after which the same request may work."""
_BROKEN: Final = {
    401: "does not know the key; is the variable that `key_variable` names set on the worker, and right?",
    403: "does not allow this key to ask this model",
    404: "has no such path or model",
    405: "takes no questions at this path",
}

T = TypeVar("T")


class TryAgain(Exception):
    """The same request may work a little later."""

    def __init__(self, reason: str, trouble: str, after: float = 0.0) -> None:
        super().__init__(trouble)
        self.reason = reason
        self.after = after
        """Seconds that the service asked to be left alone."""


class Unanswered(Exception):
    """This question has no answer, and asking again would not give one."""

    def __init__(self, reason: str, trouble: str, said: str = "") -> None:
        super().__init__(trouble)
        self.reason = reason
        self.said = said
        """What the service gave as its reason; only to be looked at, since it may repeat what was asked."""


class WebService:
    """Redirects are not followed and no proxy of the environment is used: questions and key go to the address of the
    specification and nowhere else. No error quotes what a service said, and none holds a request or its key."""

    def __init__(self, url: str, key: str = "") -> None:
        self.url = _checked(url)
        # Packed answers could unpack to more than is read here.
        headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self._client = httpx.Client(headers=headers, follow_redirects=False, trust_env=False)

    def close(self) -> None:
        self._client.close()

    def look_up(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """A JSON document, asked for before the first question; None where the service has no such path."""
        ends = time.monotonic() + _OPENING_SECONDS
        try:
            asked = in_a_thread(lambda: self.ask(path, body, ends, lambda response: _document(response, ends)))
            return asked.result(_OPENING_SECONDS + _GRACE_SECONDS)
        except TimeoutError:
            trouble = f"gives no answer within {_OPENING_SECONDS:g} s"
        except (TryAgain, Unanswered) as told:
            trouble = str(told)
        except _Missing:
            return None
        raise Unavailable(f"{self.url}{path} {trouble}", reason="ENDPOINT_UNAVAILABLE")

    def ask(self, path: str, body: Mapping[str, Any] | None, ends: float, read: Callable[[httpx.Response], T]) -> T:
        """What `read` makes of the answer. Raises TryAgain, Unanswered, or InvalidInput when no question can work."""
        # A time that has passed is told by the first read.
        seconds = max(ends - time.monotonic(), 0.001)
        timeout = httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))
        # Raised outside of `except`, so that no error holds a request with its headers as its context.
        trouble: Exception
        try:
            with self._request(path, body, timeout) as response:
                self._check_status(path, response, ends)
                return read(response)
        except httpx.TimeoutException as late:
            waited = "takes no connection" if isinstance(late, httpx.ConnectTimeout) else "fell silent"
            trouble = TryAgain("TIMEOUT", waited)
        except httpx.TransportError as broken:
            trouble = TryAgain("UNAVAILABLE", f"does not answer ({type(broken).__name__})")
        except (httpx.InvalidURL, UnicodeError):
            trouble = InvalidInput(f"{self.url} is no address that can be asked", reason="ENDPOINT_REFUSES")
        raise trouble

    def _request(
        self, path: str, body: Mapping[str, Any] | None, timeout: httpx.Timeout
    ) -> AbstractContextManager[httpx.Response]:
        if body is None:
            return self._client.stream("GET", self.url + path, timeout=timeout)
        # Written in ASCII, because half a sign in a question cannot be written otherwise.
        content = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        return self._client.stream("POST", self.url + path, content=content, headers=headers, timeout=timeout)

    def _check_status(self, path: str, response: httpx.Response, ends: float) -> None:
        status = response.status_code
        if status in _LATER:
            after = _seconds_to_wait(response.headers.get("Retry-After", ""))
            raise TryAgain("UNAVAILABLE", f"answers with status {status}", after)
        if status in {404, 405} and response.request.method == "GET":
            raise _Missing
        if status in _BROKEN:
            raise InvalidInput(f"{self.url}{path} {_BROKEN[status]} (status {status})", reason="ENDPOINT_REFUSES")
        if 300 <= status < 400:
            raise InvalidInput(
                f"{self.url}{path} sends elsewhere (status {status}), which is not followed; give the final address",
                reason="ENDPOINT_REFUSES",
            )
        if status != 200:
            said = body_of(response, ends, _MAX_DOCUMENT_BYTES).decode("utf-8", "replace")
            raise Unanswered("REFUSED", f"refuses the question with status {status}{_code_in(said)}", said)


class _Missing(Exception):
    """The service has no such path."""


def in_a_thread(call: Callable[[], T]) -> futures.Future[T]:
    """One that ends with the process: a service can hold a request beyond every timeout, by sending headers byte by
    byte, and nobody shall have to wait for it."""
    result: futures.Future[T] = futures.Future()

    def run() -> None:
        try:
            result.set_result(call())
        except Exception as trouble:  # Whatever it is, it belongs to whoever waits for the result.
            result.set_exception(trouble)

    threading.Thread(target=run, name="request", daemon=True).start()
    return result


def body_of(response: httpx.Response, ends: float, most: int) -> bytes:
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > most:
            raise Unanswered("OUTPUT_TOO_LARGE", f"sends more than {most} bytes")
        refuse_late(ends)
    return bytes(body)


def lines_of(response: httpx.Response, ends: float, longest: int) -> Iterator[str]:
    """Lines as they come in, empty ones as well, and what stands after the last end of a line."""
    rest = bytearray()
    for chunk in response.iter_raw():
        rest += chunk
        if b"\n" in chunk:
            *lines, rest = rest.split(b"\n")
            for line in lines:
                yield line.rstrip(b"\r").decode("utf-8", "replace")
        if len(rest) > longest:
            raise Unanswered("OUTPUT_TOO_LARGE", f"sends a line of more than {longest} bytes")
        refuse_late(ends)
    if rest:
        yield rest.decode("utf-8", "replace")


def refuse_late(ends: float) -> None:
    """The connection's own timeout begins anew with every byte that drips in."""
    if time.monotonic() > ends:
        raise TryAgain("TIMEOUT", "answers too slowly")


def object_in(text: str | bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        # Not chained, because the parser's text quotes the answer.
        raise Unanswered("GARBAGE", "sends something that is no JSON object")
    return found


def count_in(value: Any) -> int | None:
    """A number of tokens or nanoseconds, as far as it is one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    return int(value)


def key_from(variable: str | None) -> str:
    """The secret that an environment variable holds; empty when none is named."""
    if variable is None:
        return ""
    key = os.environ.get(variable, "")
    if not key:
        raise InvalidInput(
            f"the environment variable {variable} is not set on this worker", reason="ENDPOINT_KEY_MISSING"
        )
    if not re.fullmatch(r"[!-~]{1,4096}", key):
        raise InvalidInput(f"the environment variable {variable} holds no key: keys are ASCII without spaces")
    return key


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise InvalidInput("the address of a target must look like http://host:port/path", reason="ENDPOINT_REFUSES")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        # Not quoted: what stands there may be a secret.
        raise InvalidInput(
            f"the address of the target at {parts.hostname} must hold no user, password or query; "
            "a key goes by `key_variable`",
            reason="ENDPOINT_REFUSES",
        )
    return url.rstrip("/")


def _document(response: httpx.Response, ends: float) -> dict[str, Any]:
    return object_in(body_of(response, ends, _MAX_DOCUMENT_BYTES))


def _code_in(said: str) -> str:
    """The machine-readable code of OpenAI's errors; nothing else is safe to repeat."""
    try:
        code = json.loads(said)["error"]["code"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return ""
    return f" ({code})" if isinstance(code, str) and re.fullmatch(r"[a-z][a-z_]{0,63}", code) else ""


def _seconds_to_wait(retry_after: str) -> float:
    """Seconds, or a date; 0 where it says neither."""
    if retry_after.isdecimal():
        return float(retry_after[:9])
    try:
        return max(parsedate_to_datetime(retry_after).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return 0.0
