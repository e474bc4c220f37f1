"""What Fragua needs of a NATS server: its version, and streams and consumers that are declared and then read back.

Servers ignore options that they do not know, silently: an old one would deliver every event to every subscriber. So each
answer is compared with what was asked, and a difference is an error that names it.

Only what the suite's promises rest on is compared and corrected. How much to keep (bytes, replicas, placement) is set
once, at creation; what an operator makes of it later stays.
"""

from __future__ import annotations

import re

import structlog
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    ConsumerInfo,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import APIError, BadRequestError, NotFoundError

from fragua_platform.errors import FailedPrecondition
from fragua_platform.events.bus import DEAD_STREAM, EVENTS_STREAM, JOBS_STREAM, DeliveryPolicy
from fragua_platform.events.cloudevents import SUBJECT_ROOT
from fragua_platform.events.subjects import DEAD_ROOT, JOBS_ROOT

MINIMUM_VERSION = (2, 10)
DUPLICATE_WINDOW = 120.0
RETENTION = 30 * 86_400.0

EVENTS = StreamConfig(
    name=EVENTS_STREAM,
    description="Facts; kept so that anybody can read them again",
    subjects=[f"{SUBJECT_ROOT}.>"],
    retention=RetentionPolicy.LIMITS,
    discard=DiscardPolicy.OLD,
    storage=StorageType.FILE,
    max_age=RETENTION,
    max_bytes=512 * 2**20,
    duplicate_window=DUPLICATE_WINDOW,
)
JOBS = StreamConfig(
    name=JOBS_STREAM,
    description="Units of work; gone when a worker acknowledges them",
    subjects=[f"{JOBS_ROOT}.*"],
    retention=RetentionPolicy.WORK_QUEUE,
    discard=DiscardPolicy.NEW,  # a full queue refuses work; it never forgets what it accepted
    storage=StorageType.FILE,
    max_age=0,
    max_bytes=64 * 2**20,
    duplicate_window=DUPLICATE_WINDOW,
)
DEAD = StreamConfig(
    name=DEAD_STREAM,
    description="Events and work that were delivered as often as allowed, with the cause",
    subjects=[f"{DEAD_ROOT}.>"],
    retention=RetentionPolicy.LIMITS,
    discard=DiscardPolicy.OLD,
    storage=StorageType.FILE,
    max_age=RETENTION,
    max_bytes=128 * 2**20,
    duplicate_window=DUPLICATE_WINDOW,
)
STREAMS = (EVENTS, JOBS, DEAD)
_PROMISED_BY_STREAMS = ("subjects", "retention", "discard", "storage", "max_age", "duplicate_window")
_STREAM_NAME_IN_USE = 10058

log = structlog.get_logger(__name__)


def require_version(version: str) -> None:
    found = re.match(r"v?(\d+)\.(\d+)", version)
    if found is None or (int(found[1]), int(found[2])) < MINIMUM_VERSION:
        raise FailedPrecondition(
            f"this NATS server is version {version or 'unknown'}; Fragua needs 2.10 or newer, because older ones ignore "
            "a consumer's list of subjects and deliver every event to every subscriber. Install nats-server 2.10 or "
            "newer (container image nats:2.10, Debian 13's package nats-server, or the release of nats-io/nats-server)",
            reason="NATS_SERVER_TOO_OLD",
        )


async def declare_streams(jetstream: JetStreamContext) -> None:
    for wanted in STREAMS:
        await _declare_stream(jetstream, wanted)


async def _declare_stream(jetstream: JetStreamContext, wanted: StreamConfig) -> None:
    name = str(wanted.name)
    try:
        info = await jetstream.stream_info(name)
    except NotFoundError:
        try:
            info = await jetstream.add_stream(wanted)
        except APIError as refused:
            if refused.err_code != _STREAM_NAME_IN_USE:
                raise _refused(f"stream {name}", refused) from refused
            info = await jetstream.stream_info(name)  # another process of another release was faster
    if drift := _stream_drift(wanted, info.config):
        log.warning("stream_differs", stream=name, drift=drift)
        promised = {option: getattr(wanted, option) for option in _PROMISED_BY_STREAMS}
        try:
            info = await jetstream.update_stream(info.config.evolve(**promised))
        except APIError as refused:
            raise _refused(f"stream {name} ({', '.join(drift)})", refused) from refused
    if drift := _stream_drift(wanted, info.config):
        raise _not_honoured(f"stream {name}", drift)


def _stream_drift(wanted: StreamConfig, given: StreamConfig) -> list[str]:
    return [
        f"{option} is {getattr(given, option)!r}, not {getattr(wanted, option)!r}"
        for option in _PROMISED_BY_STREAMS
        if getattr(given, option) != getattr(wanted, option)
    ]


def durable_consumer(name: str, subjects: list[str], policy: DeliveryPolicy) -> ConsumerConfig:
    """A pull consumer that delivers without end.

    `max_deliver` and `backoff` stay unset on purpose. What exceeds the server's `max_deliver` is told in one advisory,
    at most once, and the message then lies in its stream for ever; counting deliveries on this side, a message becomes a
    dead letter by the next pull, whatever was killed meanwhile. And the server's `backoff` replaces `ack_wait`,
    so the first lease would end after a second; delays are asked for with each negative acknowledgement instead.
    """
    return ConsumerConfig(
        name=name,
        durable_name=name,
        filter_subjects=subjects,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=policy.ack_wait,
        max_deliver=-1,
    )


async def declare_consumer(jetstream: JetStreamContext, stream: str, wanted: ConsumerConfig) -> ConsumerInfo:
    """Create it, or bring it to the wanted configuration: the server does either, and nothing when it is as wanted."""
    try:
        info = await jetstream.add_consumer(stream, wanted)
    except BadRequestError as refused:
        raise _refused(f"consumer {wanted.name} of {stream}", refused) from refused
    if drift := _consumer_drift(wanted, info.config):
        raise _not_honoured(f"consumer {wanted.name} of {stream}", drift)
    return info


def _consumer_drift(wanted: ConsumerConfig, given: ConsumerConfig) -> list[str]:
    given_subjects = given.filter_subjects or [given.filter_subject or ">"]
    pairs = {
        "filter_subjects": (sorted(wanted.filter_subjects or []), sorted(given_subjects)),
        "durable_name": (wanted.durable_name, given.durable_name),
        "ack_policy": (wanted.ack_policy, given.ack_policy),
        "ack_wait": (wanted.ack_wait, given.ack_wait),
        "max_deliver": (wanted.max_deliver, given.max_deliver),
        "backoff": (wanted.backoff or None, given.backoff or None),
    }
    return [
        f"{option} is {got!r}, not {asked!r}"
        for option, (asked, got) in pairs.items()
        # Unset means that the server's default is as good as any.
        if asked != got and (asked is not None or option == "backoff")
    ]


def _refused(what: str, refused: APIError) -> FailedPrecondition:
    return FailedPrecondition(
        f"NATS refused {what}: {refused.description}. If it is left over from something else, remove it with the nats "
        "command line tool (`nats stream rm`, `nats consumer rm`); Fragua creates it again",
        reason="NATS_REFUSED_CONFIGURATION",
    )


def _not_honoured(what: str, drift: list[str]) -> FailedPrecondition:
    return FailedPrecondition(
        f"NATS accepted {what}, but did not do what was asked: {'; '.join(drift)}. Install a newer nats-server",
        reason="NATS_IGNORED_CONFIGURATION",
    )
