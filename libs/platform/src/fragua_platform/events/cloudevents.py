"""CloudEvents 1.0 in binary mode: attributes in `ce-*` headers, a typed protobuf message as JSON in the body."""

from __future__ import annotations

import re
import string
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import quote, unquote

from google.protobuf import json_format
from google.protobuf.message import Message

from fragua_platform.errors import InvalidData, InvalidInput

SUBJECT_ROOT = "fragua.v1"
M = TypeVar("M", bound=Message)

# The HTTP and NATS bindings percent-encode a header value's spaces, quotes, percent signs and everything beyond ASCII.
_PLAIN_IN_HEADERS = "".join(set(string.punctuation) - set('"%'))
_SUBJECT_TOKEN = re.compile(r"[^\s.*>]+")


@dataclass(frozen=True)
class CloudEvent:
    """One fact. `subject` is `fragua.v1.<branch>.<service>.<resource>.<event>`."""

    id: str
    subject: str
    source: str
    """The service, as `/fragua/<service>`."""
    type: str
    """Full name of the protobuf message in the body, e.g. `fragua.common.v1.JobStateChanged`."""
    time: datetime
    body: bytes
    traceparent: str = ""

    @property
    def branch(self) -> str:
        return self.subject.split(".")[2]

    def headers(self) -> dict[str, str]:
        headers = {
            "ce-specversion": "1.0",
            "ce-id": quote(self.id, safe=_PLAIN_IN_HEADERS),
            "ce-source": quote(self.source, safe=_PLAIN_IN_HEADERS),
            "ce-type": quote(self.type, safe=_PLAIN_IN_HEADERS),
            "ce-subject": quote(self.subject, safe=_PLAIN_IN_HEADERS),
            "ce-time": self.time.isoformat(),
            "content-type": "application/json",
        }
        return headers | ({"traceparent": self.traceparent} if self.traceparent else {})


def new_event(
    branch: str, service: str, resource: str, event: str, message: Message, *, traceparent: str = ""
) -> CloudEvent:
    """A fact that happens now; each name is one token of the subject."""
    names = (branch, service, resource, event)
    for name in names:
        if not _SUBJECT_TOKEN.fullmatch(name):
            raise InvalidInput(f"{name!r} in the event {names} cannot be part of a subject: no dots, spaces, * or >")
    return CloudEvent(
        id=str(uuid.uuid4()),
        subject=".".join((SUBJECT_ROOT, *names)),
        source=f"/fragua/{service}",
        type=message.DESCRIPTOR.full_name,
        time=datetime.now(UTC),
        body=json_format.MessageToJson(message, indent=None, ensure_ascii=False).encode(),
        traceparent=traceparent,
    )


def event_from_wire(headers: Mapping[str, str], body: bytes) -> CloudEvent:
    given = {name.lower(): unquote(value) for name, value in headers.items()}
    required = ("ce-specversion", "ce-id", "ce-source", "ce-type", "ce-subject", "ce-time")
    if missing := [name for name in required if not given.get(name)]:
        raise InvalidData(f"not a CloudEvent in binary mode: no header {', '.join(missing)}")
    if not given["ce-specversion"].startswith("1."):
        raise InvalidData(f"CloudEvents {given['ce-specversion']} is not understood; publish version 1.0")
    subject = given["ce-subject"]
    tokens = subject.removeprefix(f"{SUBJECT_ROOT}.").split(".")
    if not subject.startswith(f"{SUBJECT_ROOT}.") or len(tokens) != 4 or not all(map(_SUBJECT_TOKEN.fullmatch, tokens)):
        raise InvalidData(f"subject {subject!r} is not {SUBJECT_ROOT}.<branch>.<service>.<resource>.<event>")
    return CloudEvent(
        id=given["ce-id"],
        subject=subject,
        source=given["ce-source"],
        type=given["ce-type"],
        time=_moment(given["ce-time"]),
        body=body,
        traceparent=given.get("traceparent", ""),
    )


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as broken:
        raise InvalidData(f"ce-time {text!r} is not an RFC 3339 time") from broken
    if moment.tzinfo is None:
        raise InvalidData(f"ce-time {text!r} has no time zone; write UTC with Z")
    return moment


def body_as(event: CloudEvent, message_type: type[M]) -> M:
    """The typed body; unknown fields are ignored, so that newer publishers do not break older readers."""
    expected = message_type.DESCRIPTOR.full_name
    if event.type != expected:
        raise InvalidData(f"event {event.id} on {event.subject} carries {event.type}, expected {expected}")
    try:
        return json_format.Parse(event.body, message_type(), ignore_unknown_fields=True)
    except (json_format.ParseError, UnicodeDecodeError) as broken:
        raise InvalidData(f"event {event.id} on {event.subject} has a broken body: {broken}") from broken
