"""Origins of web addresses, by which an operator says whom a service may ask."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

Origin = tuple[str, str, int]
"""Scheme, host and port, as they are compared."""

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_NO_ADDRESS: Final = "is no address such as https://api.example.com/v1"


def origin_of(url: str) -> Origin:
    """ValueError for what is no address of an endpoint."""
    # Programs do not agree on what these mean in an address, so nobody shall have to.
    if any(letter.isspace() or letter == "\\" or not letter.isprintable() for letter in url):
        raise ValueError("holds white space or a backslash")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as wrong:
        raise ValueError(_NO_ADDRESS) from wrong
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError(_NO_ADDRESS)
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds a user or password; keys are named by key_variable")
    if parts.query or parts.fragment:
        raise ValueError("has a query or fragment; end it with the path")
    return parts.scheme, parts.hostname, port or _DEFAULT_PORTS[parts.scheme]


def allowed_origins(listed: str) -> frozenset[Origin]:
    """Of a setting with commas between its addresses. ValueError for what is no address, or has a path."""
    return frozenset(_allowed(entry.strip()) for entry in listed.split(",") if entry.strip())


def _allowed(url: str) -> Origin:
    try:
        origin = origin_of(url)
    except ValueError as wrong:
        raise ValueError(f"{url!r} {wrong}") from wrong
    if urlsplit(url).path not in ("", "/"):
        raise ValueError(f"{url!r} has a path; give scheme, host and port")
    return origin
