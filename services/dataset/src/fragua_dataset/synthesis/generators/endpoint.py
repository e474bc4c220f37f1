"""Asks an HTTP endpoint, patiently and within limits, whatever it answers."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from concurrent import futures
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx

from fragua_dataset.domain.synthesis_spec import Generator
from fragua_dataset.synthesis.generators.port import OutOfTime, Unanswered
from fragua_platform.errors import InvalidInput, Unavailable

MAX_ANSWER_BYTES: Final = 2**20
_CONNECT_SECONDS: Final = 10.0
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 60.0
_SECONDS_BETWEEN_GLANCES: Final = 0.1
_LATER: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
"""Statuses after which the same request may work."""
_NEVER: Final = {
    401: "does not know the key; is the variable that `key_variable` names right on the worker?",
    403: "does not allow the key to ask this model",
    404: "has no such path or model",
    405: "does not take questions at this path",
}

Wait = Callable[[float], None]
"""Waits so many seconds; ends the engine when that is asked for meanwhile."""


class _TryAgain(Exception):
    def __init__(self, trouble: str, after: float = 0.0) -> None:
        super().__init__(trouble)
        self.after = after
        """Seconds that the endpoint asked to be left alone."""


class Endpoint:
    """Redirects are not followed and no proxy of the environment is used: what is asked goes to the host that the
    operator allowed, and nowhere else."""

    def __init__(self, spec: Generator, key: str, wait: Wait) -> None:
        self._url = spec.endpoint.rstrip("/")
        self._request_seconds = spec.request_seconds
        self._patience_seconds = spec.patience_seconds
        self._wait = wait
        # Packed answers could unpack to more than is read here.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        self._client = httpx.Client(headers=headers, follow_redirects=False, trust_env=False)

    def post(self, path: str, question: Mapping[str, Any], deadline: float) -> dict[str, Any]:
        """The object that it answers with. Asks again while it is busy or away, for as long as patience lasts."""
        patience_ends = time.monotonic() + self._patience_seconds
        pause = _FIRST_PAUSE
        while True:
            try:
                return _as_object(self._heeding_stop(lambda: self._ask(path, question, deadline)))
            except _TryAgain as trouble:
                now, rest = time.monotonic(), max(pause, trouble.after)
                if now >= deadline or now + rest >= deadline:
                    raise OutOfTime from trouble
                if now + rest > patience_ends:
                    problem = f"{self._url} {trouble}; asked for {self._patience_seconds:.0f} s and gave up"
                    raise Unavailable(problem, reason="ENDPOINT_UNAVAILABLE") from trouble
            self._wait(rest)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def close(self) -> None:
        self._client.close()

    def _heeding_stop(self, ask: Callable[[], bytes]) -> bytes:
        """An answer takes minutes, and whoever wants the engine to stop shall not wait for it: it is asked for in a
        thread, which ends with the process."""
        answer: futures.Future[bytes] = futures.Future()

        def run() -> None:
            try:
                answer.set_result(ask())
            except Exception as trouble:
                answer.set_exception(trouble)

        threading.Thread(target=run, name="endpoint", daemon=True).start()
        while not futures.wait([answer], _SECONDS_BETWEEN_GLANCES).done:
            self._wait(0)
        return answer.result()

    def _ask(self, path: str, question: Mapping[str, Any], deadline: float) -> bytes:
        ends = min(time.monotonic() + self._request_seconds, deadline)
        # A deadline that has passed is told by the first read.
        seconds = max(ends - time.monotonic(), 0.001)
        timeout = httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))
        try:
            with self._client.stream("POST", self._url + path, json=question, timeout=timeout) as response:
                self._check_status(response)
                return _read_body(response, ends)
        except httpx.TransportError as trouble:
            # Its text may hold the address with everything that was asked.
            raise _TryAgain(f"does not answer ({type(trouble).__name__})") from trouble
        except (httpx.InvalidURL, UnicodeError) as wrong:
            raise InvalidInput(f"{self._url} is no address that can be asked", reason="ENDPOINT_REFUSES") from wrong

    def _check_status(self, response: httpx.Response) -> None:
        """The body is not quoted: it may repeat what was asked."""
        status = response.status_code
        if status in _LATER:
            raise _TryAgain(f"answers with status {status}", _seconds_to_wait(response.headers.get("Retry-After", "")))
        if status in _NEVER:
            raise InvalidInput(f"{self._url} {_NEVER[status]} (status {status})", reason="ENDPOINT_REFUSES")
        if 300 <= status < 400:
            problem = f"{self._url} sends elsewhere (status {status}), which is not followed; give the final address"
            raise InvalidInput(problem, reason="ENDPOINT_REFUSES")
        if status != 200:
            raise Unanswered(f"status {status}")


def _read_body(response: httpx.Response, ends: float) -> bytes:
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise Unanswered(f"more than {MAX_ANSWER_BYTES} bytes")
        # The timeout of the connection begins anew with every byte that drips in.
        if time.monotonic() > ends:
            raise _TryAgain("answers too slowly")
    return bytes(body)


def _as_object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        # Not chained: its text quotes the answer.
        raise Unanswered("no JSON") from None
    if not isinstance(found, dict):
        raise Unanswered("no object")
    return found


def _seconds_to_wait(retry_after: str) -> float:
    """Seconds, or a date; 0 where it says neither."""
    if retry_after.isdecimal():
        return float(retry_after[:9])
    try:
        return max(parsedate_to_datetime(retry_after).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return 0.0


def count_of(value: Any) -> int | None:
    """A number of tokens, as far as it is one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    return int(value)
