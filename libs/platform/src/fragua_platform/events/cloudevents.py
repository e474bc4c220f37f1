"""CloudEvents 1.0 in binary mode: attributes in `ce-*` headers, a typed protobuf message as JSON in the body."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from fragua_platform.errors import InvalidData

SUBJECT_ROOT = "fragua.v1"
M = TypeVar("M", bound=Message)


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
            "ce-id": self.id,
            "ce-source": self.source,
            "ce-type": self.type,
            "ce-subject": self.subject,
            "ce-time": self.time.isoformat(),
            "content-type": "application/json",
        }
        return headers | ({"traceparent": self.traceparent} if self.traceparent else {})


def new_event(branch: str, service: str, resource: str, event: str, message: Message, *, traceparent: str = "") -> CloudEvent:
    return CloudEvent(
        id=str(uuid.uuid4()),
        subject=f"{SUBJECT_ROOT}.{branch}.{service}.{resource}.{event}",
        source=f"/fragua/{service}",
        type=message.DESCRIPTOR.full_name,
        time=datetime.now(UTC),
        body=json_format.MessageToJson(message, indent=None, ensure_ascii=False).encode(),
        traceparent=traceparent,
    )


def event_from_wire(headers: Mapping[str, str], body: bytes) -> CloudEvent:
    try:
        return CloudEvent(
            id=headers["ce-id"],
            subject=headers["ce-subject"],
            source=headers["ce-source"],
            type=headers["ce-type"],
            time=datetime.fromisoformat(headers["ce-time"]),
            body=body,
            traceparent=headers.get("traceparent", ""),
        )
    except (KeyError, ValueError) as broken:
        raise InvalidData(f"not a CloudEvent in binary mode: {broken}") from broken


def body_as(event: CloudEvent, message_type: type[M]) -> M:
    """The typed body; unknown fields are ignored, so that newer publishers do not break older readers."""
    expected = message_type.DESCRIPTOR.full_name
    if event.type != expected:
        raise InvalidData(f"event {event.id} on {event.subject} carries {event.type}, expected {expected}")
    try:
        return json_format.Parse(event.body, message_type(), ignore_unknown_fields=True)
    except json_format.ParseError as broken:
        raise InvalidData(f"event {event.id} on {event.subject} has a broken body: {broken}") from broken
