"""Calls to the four services that outlive a restart of any of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import grpc

from fragua.common.v1 import job_pb2
from fragua.dataset.v1 import dataset_service_pb2_grpc, feedback_service_pb2_grpc, trigger_service_pb2_grpc
from fragua.evaluator.v1 import evaluator_service_pb2_grpc
from fragua.exporter.v1 import exporter_service_pb2_grpc
from fragua.trainer.v1 import trainer_service_pb2_grpc
from fragua_cli.tls import way_out
from fragua_platform.errors import Unavailable
from fragua_platform.grpc.client import open_channel
from fragua_platform.grpc.tls import ChannelTls

if TYPE_CHECKING:
    from fragua.dataset.v1.dataset_service_pb2_grpc import DatasetServiceAsyncStub
    from fragua.dataset.v1.feedback_service_pb2_grpc import FeedbackServiceAsyncStub
    from fragua.dataset.v1.trigger_service_pb2_grpc import TriggerServiceAsyncStub
    from fragua.evaluator.v1.evaluator_service_pb2_grpc import EvaluatorServiceAsyncStub
    from fragua.exporter.v1.exporter_service_pb2_grpc import ExporterServiceAsyncStub
    from fragua.trainer.v1.trainer_service_pb2_grpc import TrainerServiceAsyncStub

CALL_PATIENCE_SECONDS: Final = 30.0
WATCH_PATIENCE_SECONDS: Final = 300.0
"""Jobs outlive the restart of a service, so whoever follows one waits for it."""

TERMINAL: Final = frozenset({job_pb2.JOB_STATE_SUCCEEDED, job_pb2.JOB_STATE_FAILED, job_pb2.JOB_STATE_CANCELLED})

Notice = Callable[[str], None]
T = TypeVar("T")
Request = TypeVar("Request")


class JobResource(Protocol):
    """What the long-running resources of all services have in common."""

    @property
    def name(self) -> str: ...

    @property
    def status(self) -> job_pb2.JobStatus: ...


J = TypeVar("J", bound=JobResource)


class Suite:
    """The services behind their addresses; a context manager that closes its channels.

    A call that finds its service away is sent again until `patience` seconds have passed since its first failure; every
    call of the contracts is idempotent, so sending one twice does no harm. `notice` hears of each outage once.
    """

    def __init__(
        self,
        endpoints: Mapping[str, str],
        *,
        tls: ChannelTls | None = None,
        patience: float | None = None,
        notice: Notice,
    ) -> None:
        self.endpoints = endpoints
        self._tls = tls
        self._call_patience = CALL_PATIENCE_SECONDS if patience is None else patience
        self._watch_patience = WATCH_PATIENCE_SECONDS if patience is None else patience
        self._notice = notice
        self._way_out = way_out(tls)
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def __aenter__(self) -> Suite:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for channel in self._channels.values():
            await channel.close(None)

    def channel(self, service: str) -> grpc.aio.Channel:
        if service not in self._channels:
            self._channels[service] = open_channel(self.endpoints[service], tls=self._tls)
        return self._channels[service]

    @cached_property
    def dataset(self) -> DatasetServiceAsyncStub:
        return dataset_service_pb2_grpc.DatasetServiceStub(self.channel("dataset"))

    @cached_property
    def feedback(self) -> FeedbackServiceAsyncStub:
        return feedback_service_pb2_grpc.FeedbackServiceStub(self.channel("dataset"))

    @cached_property
    def triggers(self) -> TriggerServiceAsyncStub:
        return trigger_service_pb2_grpc.TriggerServiceStub(self.channel("dataset"))

    @cached_property
    def trainer(self) -> TrainerServiceAsyncStub:
        return trainer_service_pb2_grpc.TrainerServiceStub(self.channel("trainer"))

    @cached_property
    def evaluator(self) -> EvaluatorServiceAsyncStub:
        return evaluator_service_pb2_grpc.EvaluatorServiceStub(self.channel("evaluator"))

    @cached_property
    def exporter(self) -> ExporterServiceAsyncStub:
        return exporter_service_pb2_grpc.ExporterServiceStub(self.channel("exporter"))

    async def call(self, method: Callable[[Request], Awaitable[T]], request: Request) -> T:
        """One request, one answer."""
        return await self.persist(lambda: method(request))

    async def persist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Make an attempt until one finds its service there."""
        outage = _Outage(self._call_patience, self._notice, self._way_out)
        while True:
            try:
                return await attempt()
            except Unavailable as error:
                await outage.sit_out(error, f"trying for {self._call_patience:.0f} s more")

    async def watch(self, method: Callable[[Request], Any], request: Request) -> AsyncIterator[Any]:
        """The resource now and after every change, up to its terminal state, over any number of connections."""
        outage = _Outage(self._watch_patience, self._notice, self._way_out)
        while True:
            call = method(request)
            try:
                async for resource in call:
                    outage = _Outage(self._watch_patience, self._notice, self._way_out)
                    yield resource
                    if resource.status.state in TERMINAL:
                        return
            except Unavailable as error:
                await outage.sit_out(error, "the job goes on, watching again")
            finally:
                call.cancel()

    async def replayed(self, method: Callable[[Request], Any], request: Request) -> AsyncIterator[Any]:
        """The answers of a stream that begins anew with each connection; those that were here before are left out."""
        outage = _Outage(self._watch_patience, self._notice, self._way_out)
        seen = 0
        while True:
            call = method(request)
            number = 0
            try:
                async for answer in call:
                    outage = _Outage(self._watch_patience, self._notice, self._way_out)
                    number += 1
                    if number > seen:
                        seen = number
                        yield answer
                return
            except Unavailable as error:
                await outage.sit_out(error, "reading on as soon as it is back")
            finally:
                call.cancel()


class _Outage:
    """The time from a first failure on, until a service is back or patience ends."""

    def __init__(self, patience: float, notice: Notice, way_out: str) -> None:
        self._patience = patience
        self._notice = notice
        self._way_out = way_out
        self._deadline = 0.0
        self._delay = 0.5

    async def sit_out(self, error: Unavailable, plan: str) -> None:
        """Wait a little before the next attempt, or raise it with the way out when the time is up."""
        is_first = not self._deadline
        if is_first:
            self._deadline = time.monotonic() + self._patience
        if time.monotonic() + self._delay > self._deadline:
            raise Unavailable(f"{error.message}; {self._way_out}", reason=error.reason) from error
        if is_first:
            self._notice(f"{error.message}; {plan}")
        await asyncio.sleep(self._delay)
        # Quick at first, since most restarts are.
        self._delay = min(2 * self._delay, 4.0)


async def all_pages(fetch: Callable[[str], Awaitable[Any]], items: str) -> AsyncIterator[Any]:
    """The entries of a paged list, one page after the other; `items` is the answer's field that holds them."""
    token = ""
    while True:
        page = await fetch(token)
        for item in getattr(page, items):
            yield item
        token = page.next_page_token
        if not token:
            return
