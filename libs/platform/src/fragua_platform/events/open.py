"""The event bus that a URL names; the one place that knows every adapter."""

from __future__ import annotations

from urllib.parse import urlsplit

from fragua_platform.errors import InvalidInput
from fragua_platform.events.bus import EventBus
from fragua_platform.events.memory import MemoryEventBus
from fragua_platform.events.nats import NatsEventBus


async def open_event_bus(url: str, *, name: str = "fragua") -> EventBus:
    """`memory://` for one process, `nats://…` or `tls://…` for JetStream; `name` is shown in the server's monitoring."""
    match urlsplit(url).scheme:
        case "memory":
            return MemoryEventBus()
        case "nats" | "tls":
            return await NatsEventBus.connect(url, name=name)
        case scheme:
            raise InvalidInput(
                f"the events URL begins with {scheme or 'no scheme'!r}; use memory://, nats:// or tls://"
            )
