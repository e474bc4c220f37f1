"""Channels to other services: deadlines, retries, one trace across the call, and errors in our own families."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import grpc
import structlog

from fragua_platform.grpc.interceptors import REQUEST_ID_KEY
from fragua_platform.grpc.server import MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES
from fragua_platform.grpc.status import error_from_rpc
from fragua_platform.grpc.tls import ChannelTls, channel_credentials
from fragua_platform.telemetry import current_traceparent

DEFAULT_DEADLINE_SECONDS: Final = 30.0
"""Of calls with one request and one answer that name no timeout; streams last as long as they last."""

# Every call of the contracts is idempotent (Create by its request_id, Cancel, Pause and Resume by naming a goal), so
# all may be sent again. gRPC does so only until the first answer has arrived: a stream never yields something twice.
_SERVICE_CONFIG: Final = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.2s",
                "maxBackoff": "3s",
                "backoffMultiplier": 3,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
_OPTIONS: Final = (
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.max_send_message_length", MAX_REQUEST_BYTES),
    ("grpc.max_receive_message_length", MAX_RESPONSE_BYTES),
    # By default gRPC waits up to two minutes before it looks again for a server that was away.
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)


def open_channel(
    target: str, *, tls: ChannelTls | None = None, deadline_seconds: float = DEFAULT_DEADLINE_SECONDS
) -> grpc.aio.Channel:
    """A channel whose calls raise the families of `fragua_platform.errors`; close it, or use it as a context manager.

    Pass requests of client streams as an iterator: `stub.ImportDataset(messages)`. The `call.write()` style would wait
    for ever, because interceptors wait for the answer before the caller gets to write. Whoever stops reading a server
    stream before its end calls `.cancel()` on it, or the server goes on sending until the garbage collector comes by.
    """
    interceptors: list[Any] = [
        _UnaryUnary(deadline_seconds),
        _UnaryStream(),
        _StreamUnary(),
        _StreamStream(),
    ]
    if tls is None:
        return grpc.aio.insecure_channel(target, options=_OPTIONS, interceptors=interceptors)
    return grpc.aio.secure_channel(target, channel_credentials(tls), options=_OPTIONS, interceptors=interceptors)


# gRPC files an interceptor under the first of the four kinds that it implements, hence four classes.


class _UnaryUnary(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[type-arg]
    def __init__(self, deadline_seconds: float) -> None:
        self._deadline_seconds = deadline_seconds

    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        details = _with_context(client_call_details)
        if details.timeout is None:
            details = details._replace(timeout=self._deadline_seconds)
        return await _answer(await continuation(details, request))


class _UnaryStream(grpc.aio.UnaryStreamClientInterceptor):  # type: ignore[type-arg]
    async def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        return _answers(await continuation(_with_context(client_call_details), request))


class _StreamUnary(grpc.aio.StreamUnaryClientInterceptor):  # type: ignore[type-arg]
    async def intercept_stream_unary(
        self, continuation: Callable[..., Any], client_call_details: grpc.aio.ClientCallDetails, request_iterator: Any
    ) -> Any:
        call = await continuation(_with_context(client_call_details), request_iterator)
        await _answer(call)
        return call


class _StreamStream(grpc.aio.StreamStreamClientInterceptor):  # type: ignore[type-arg]
    async def intercept_stream_stream(
        self, continuation: Callable[..., Any], client_call_details: grpc.aio.ClientCallDetails, request_iterator: Any
    ) -> Any:
        return _answers(await continuation(_with_context(client_call_details), request_iterator))


def _with_context(details: Any) -> Any:
    """Send along the trace and the request id of the call that we are answering, if we are."""
    metadata = grpc.aio.Metadata(*(details.metadata or ()))
    traceparent = current_traceparent()
    if traceparent:
        metadata["traceparent"] = traceparent
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    if request_id and REQUEST_ID_KEY not in metadata:
        metadata[REQUEST_ID_KEY] = request_id
    return details._replace(metadata=metadata)


async def _answer(call: Any) -> Any:
    try:
        return await call
    except grpc.aio.AioRpcError as failed:
        raise error_from_rpc(failed) from failed


async def _answers(call: Any) -> AsyncIterator[Any]:
    try:
        async for response in call:
            yield response
    except grpc.aio.AioRpcError as failed:
        raise error_from_rpc(failed) from failed
