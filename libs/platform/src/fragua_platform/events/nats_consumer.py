"""Taking messages from a JetStream pull consumer, one at a time, through restarts of the server.

One at a time, because a message that waits in this process behind another one uses up its lease and its deliveries.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import nats.errors
import structlog
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig

from fragua_platform.errors import FraguaError, Unavailable
from fragua_platform.events.nats_connection import Connection
from fragua_platform.events.nats_topology import declare_consumer, declare_streams

LONGEST_REQUEST = 5.0
"""Seconds that one request waits at the server: a request that dies with its server is repeated after that."""
SHORTEST_REQUEST = 0.1
"""Even a caller without patience gets what is there."""
ANSWER_GRACE = 1.0
"""Seconds for the server's word that nothing came."""
PAUSE_AFTER_TROUBLE = 1.0

_NOTHING_CAME = ("404", "408")

log = structlog.get_logger(__name__)


class ConsumerLost(Exception):
    """The server does not know the consumer, or does not serve it at the moment."""


class PullConsumer:
    def __init__(self, connection: Connection, stream: str, config: ConsumerConfig) -> None:
        self._connection = connection
        self._stream = stream
        self.config = config

    async def declare(self) -> None:
        await declare_consumer(self._connection.jetstream, self._stream, self.config)

    async def next(self, wait: float) -> Msg | None:
        """The next message, or None when none came within `wait` seconds. Trouble is logged and waited out.

        Raises `Unavailable` when the connection is closed for good.
        """
        deadline = time.monotonic() + max(wait, SHORTEST_REQUEST)
        while (remaining := deadline - time.monotonic()) > 0:
            if self._connection.client.is_closed:
                raise Unavailable("the connection to NATS is closed")
            try:
                if self._connection.client.is_connected:
                    message = await self._ask(min(remaining, LONGEST_REQUEST))
                    if message is not None:
                        return message
                    continue
            except ConsumerLost as lost:
                log.warning("consumer_lost", stream=self._stream, consumer=self.config.name, cause=str(lost))
                await self._declare_again()
            except (nats.errors.Error, OSError) as trouble:
                log.warning("pull_failed", stream=self._stream, consumer=self.config.name, cause=str(trouble))
            await asyncio.sleep(max(0.0, min(PAUSE_AFTER_TROUBLE, deadline - time.monotonic())))
        return None

    async def delete(self) -> None:
        if not self._connection.client.is_connected:
            return
        with suppress(nats.errors.Error):
            await self._connection.jetstream.delete_consumer(self._stream, str(self.config.name))

    async def _declare_again(self) -> None:
        """The server may have come back without its data."""
        try:
            await declare_streams(self._connection.jetstream)
            await self.declare()
        except (FraguaError, nats.errors.Error, OSError) as trouble:
            log.warning("consumer_not_restored", stream=self._stream, consumer=self.config.name, cause=str(trouble))

    async def _ask(self, wait: float) -> Msg | None:
        """One request with an inbox of its own, so that no answer to it can be taken for the answer to another one."""
        client = self._connection.client
        arrived: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()

        async def receive(message: Msg) -> None:
            if not arrived.done():
                arrived.set_result(message)

        inbox = client.new_inbox()
        subscription = await client.subscribe(inbox, cb=receive)
        try:
            try:
                request = json.dumps({"batch": 1, "expires": int(wait * 1e9)}).encode()
                await client.publish(
                    f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self.config.name}", request, reply=inbox
                )
                either = (arrived, self._connection.until_lost())
                await asyncio.wait(either, timeout=wait + ANSWER_GRACE, return_when=asyncio.FIRST_COMPLETED)
            finally:
                # Withdraws the request: the server gives nothing to an inbox that nobody listens to.
                with suppress(nats.errors.Error):
                    await subscription.unsubscribe()
        except asyncio.CancelledError:
            if arrived.done() and _is_delivery(arrived.result()):
                await arrived.result().nak()  # cancelled while it came in: somebody else may have it at once
            raise
        if not arrived.done():
            return None
        message = arrived.result()
        if _is_delivery(message):
            return message
        status = (message.headers or {}).get("Status", "")
        if status in _NOTHING_CAME:
            return None
        raise ConsumerLost((message.headers or {}).get("Description") or f"status {status}")


def _is_delivery(message: Msg) -> bool:
    return message.reply.startswith("$JS.ACK.")


class Consumption:
    """Hands every message of a consumer to a function, one after the other, until it is stopped."""

    def __init__(self, consumer: PullConsumer, handle: Callable[[Msg], Awaitable[None]]) -> None:
        self._consumer = consumer
        self._handle = handle
        self._stopping = False
        self._in_hand = False
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        self._stopping = True
        if not self._in_hand:
            self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while not self._stopping:
            try:
                message = await self._consumer.next(LONGEST_REQUEST)
            except Unavailable:
                log.error("subscription_ended", consumer=self._consumer.config.name, cause="the connection is closed")
                return
            if message is None:
                continue
            self._in_hand = True
            try:
                await self._handle(message)
            except Exception as trouble:  # the message was not acknowledged and comes again
                log.exception("message_not_handled", consumer=self._consumer.config.name, cause=str(trouble))
            self._in_hand = False
