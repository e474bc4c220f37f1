"""What every call on a server goes through: request id, trace, validation, error mapping, one log line, one metric."""

from __future__ import annotations

import asyncio
import inspect
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, nullcontext
from typing import Any, Final, TypeAlias

import grpc
import structlog
from opentelemetry.trace import Span, SpanKind, StatusCode

from fragua_platform.errors import FraguaError, InternalError, Unavailable
from fragua_platform.grpc.status import rpc_status_of
from fragua_platform.grpc.validation import check_message, checked_messages
from fragua_platform.telemetry import RPC_SECONDS, span_from_traceparent

REQUEST_ID_KEY: Final = "x-request-id"
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:/-]{1,128}")
_DEFECTS: Final = {grpc.StatusCode.INTERNAL, grpc.StatusCode.DATA_LOSS}
"""Codes that somebody has to look at; every other one is an answer."""

log = structlog.stdlib.get_logger(__name__)

Behavior = Callable[[Any, Any], Any]
Check = Callable[[Any], Any]
# Quoted where only the stubs are generic.
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class Drain:
    """Ends the Watch streams of a server that is about to stop; by themselves they would outlast any grace period."""

    def __init__(self) -> None:
        self._begun = asyncio.Event()
        self._watchers: set[asyncio.Task[Any]] = set()

    def begin(self) -> None:
        self._begun.set()
        for watcher in self._watchers:
            watcher.cancel()

    @contextmanager
    def ends_this_call(self) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None, "a handler always runs in a task"
        if self._begun.is_set():  # Accepted in the last moment, and not among those that `begin` ended.
            raise _draining()
        self._watchers.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if not self._begun.is_set():
                raise
            task.uncancel()
            raise _draining() from None
        finally:
            self._watchers.discard(task)


def _draining() -> Unavailable:
    return Unavailable("the server is draining; watch again to go on", reason="DRAINING")


class CallInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Wraps the handler of every method, whichever side streams."""

    def __init__(self, drain: Drain) -> None:
        self._drain = drain

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        handler = await continuation(handler_call_details)
        if handler is None:
            # No such method. The stubs do not know that None means this; gRPC answers UNIMPLEMENTED.
            return None  # type: ignore[return-value]
        method = handler_call_details.method
        make_handler = _HANDLER_MAKERS[bool(handler.request_streaming), bool(handler.response_streaming)]
        behavior: Any = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        check = checked_messages if handler.request_streaming else check_message
        if handler.response_streaming:
            wrapped = _streaming(behavior, method, check, self._drain if _is_watch(method) else None)
        else:
            wrapped = _answering(behavior, method, check)
        return make_handler(wrapped, handler.request_deserializer, handler.response_serializer)


_HANDLER_MAKERS: Final[dict[tuple[bool, bool], Callable[..., Handler]]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
"""By whether requests stream and whether responses do."""


def _is_watch(method: str) -> bool:
    """By the naming rule of the contracts: Watch streams go on until something changes, others until they are done."""
    return method.rpartition("/")[2].startswith("Watch")


def _answering(behavior: Behavior, method: str, check: Check) -> Behavior:
    async def answer(request: Any, context: Context) -> Any:
        async with _observed(method, context):
            return await behavior(check(request), context)

    return answer


def _streaming(behavior: Behavior, method: str, check: Check, drain: Drain | None) -> Behavior:
    # A coroutine that writes, not a generator: so every wait of the call is within this frame, and so is every error.
    async def stream(request: Any, context: Context) -> None:
        async with _observed(method, context):
            with drain.ends_this_call() if drain else nullcontext():
                await _send_all(behavior(check(request), context), context)

    return stream


async def _send_all(responses: Any, context: Context) -> None:
    if inspect.isawaitable(responses):  # The handler writes to the context by itself, as gRPC's health service does.
        await responses
        return
    async with aclosing(responses):
        async for response in responses:
            await context.write(response)


@asynccontextmanager
async def _observed(method: str, context: Context) -> AsyncIterator[None]:
    service, _, name = method.lstrip("/").partition("/")
    metadata = dict(context.invocation_metadata() or ())
    structlog.contextvars.bind_contextvars(
        rpc=f"{service}/{name}", request_id=_request_id(metadata.get(REQUEST_ID_KEY)), peer=context.peer()
    )
    started = time.perf_counter()
    code = grpc.StatusCode.OK
    refusal: grpc.Status | None = None
    attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}
    traceparent = str(metadata.get("traceparent", ""))
    with span_from_traceparent(f"{service}/{name}", traceparent, kind=SpanKind.SERVER, attributes=attributes) as span:
        try:
            yield
        except asyncio.CancelledError:
            # The client went away, its deadline passed, or the grace of a drain did: nobody's mistake.
            code = grpc.StatusCode.CANCELLED
            raise
        except grpc.aio.AbortError:
            # The handler chose its code by itself, as gRPC's health service does for an unknown name.
            code = _code_of(context)
            raise
        except Exception as error:
            refusal = rpc_status_of(_as_family(error))
            code = refusal.code
        finally:
            _record(service, name, code, time.perf_counter() - started, span, refusal)
    if refusal is not None:
        await context.abort(refusal.code, refusal.details, refusal.trailing_metadata)


def _request_id(given: str | bytes | None) -> str:
    """The caller's id, if it is fit for a log, so that one id follows a request through every service."""
    return given if isinstance(given, str) and _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _as_family(error: Exception) -> FraguaError:
    if isinstance(error, FraguaError):
        return error
    # Its text may hold anything, a connection string with its password too: it goes to the log, which redacts.
    error_id = uuid.uuid4().hex
    log.error("rpc_defect", error_id=error_id, exc_info=error)
    return InternalError(f"internal error {error_id}: the service's log tells more under this id")


def _record(
    service: str, name: str, code: grpc.StatusCode, seconds: float, span: Span, refusal: grpc.Status | None
) -> None:
    RPC_SECONDS.labels(service, name, code.name).observe(seconds)
    span.set_attribute("rpc.grpc.status_code", code.value[0])
    if code in _DEFECTS:
        span.set_status(StatusCode.ERROR, code.name)
    fields = {"code": code.name, "seconds": round(seconds, 6)} | ({"problem": refusal.details} if refusal else {})
    if code in _DEFECTS:
        log.error("rpc_finished", **fields)
    elif service.startswith("grpc."):
        # Probes ask for health every few seconds; they would drown the rest.
        log.debug("rpc_finished", **fields)
    else:
        log.info("rpc_finished", **fields)


def _code_of(context: Context) -> grpc.StatusCode:
    number = context.code()
    return next((code for code in grpc.StatusCode if number in (code, code.value[0])), grpc.StatusCode.UNKNOWN)
