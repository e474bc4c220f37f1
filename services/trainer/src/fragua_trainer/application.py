"""The trainer's use cases: order a training, read what it measured, keep base models and adapters."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.engine import Connection

from fragua_platform.artifacts.manifest import Bundle
from fragua_platform.database import Database
from fragua_platform.errors import FailedPrecondition, InvalidInput, NotFound, Violation
from fragua_platform.jobs.desk import JobDesk
from fragua_platform.jobs.job import Job
from fragua_platform.paging import Page, PageRequest
from fragua_trainer.domain.registry import Adapter, AdapterScore, BaseModel, Metric
from fragua_trainer.domain.training_order import ResolvedOrder, TrainingOrder


@dataclass(frozen=True)
class DatasetVersion:
    """What the trainer needs to know of a dataset version."""

    name: str
    state: str
    prefix: str
    """Where its bundle lies; empty unless READY."""
    manifest_sha256: str


class DatasetCatalog(Protocol):
    """The dataset service, as the trainer sees it. Every call raises `NotFound`, or `Unavailable`."""

    async def require_branch(self, branch: str) -> None: ...

    async def version(self, name: str) -> DatasetVersion: ...


class ModelRegistry(Protocol):
    """Base models, adapters, and what was measured on the way; each call in the caller's transaction."""

    def add_base_model(self, connection: Connection, model: BaseModel) -> BaseModel:
        """Idempotent by name."""
        ...

    def base_model(self, connection: Connection, name: str) -> BaseModel: ...

    def find_base_model(self, connection: Connection, model_id: str, source: str) -> BaseModel | None: ...

    def base_models(self, connection: Connection, page: PageRequest) -> Page[BaseModel]: ...

    def adapter(self, connection: Connection, branch: str, number: int) -> Adapter: ...

    def adapter_of(self, connection: Connection, training_job: str) -> Adapter: ...

    def adapters(self, connection: Connection, branch: str, page: PageRequest) -> Page[Adapter]: ...

    def metrics(self, connection: Connection, training_job: str, page: PageRequest) -> Page[Metric]: ...

    def was_killed(self, connection: Connection, training_job: str) -> bool: ...

    def add_score(self, connection: Connection, adapter: Adapter, score: AdapterScore) -> None: ...

    def set_verification(self, connection: Connection, evaluation: str, status: str) -> None:
        """Of the score that this evaluation reported, if it reported one."""
        ...


_ADAPTER_NAME = re.compile(r"branches/([a-z0-9-]{1,40})/adapters/([0-9]{1,9})")


class Training:
    def __init__(self, database: Database, desk: JobDesk, registry: ModelRegistry, datasets: DatasetCatalog) -> None:
        self._database = database
        self._desk = desk
        self._registry = registry
        self._datasets = datasets

    async def submit(
        self, branch: str, order: TrainingOrder, *, request_id: str, validate_only: bool, priority: int = 0
    ) -> Job:
        """Queue a training; everything that is wrong with the order is reported at once, before any compute."""
        return await self._desk.submit(
            branch,
            order,
            lambda: self.resolve(branch, order),
            request_id=request_id,
            validate_only=validate_only,
            priority=priority,
        )

    async def resolve(self, branch: str, order: TrainingOrder) -> ResolvedOrder:
        """The order with everything it refers to pinned, or `InvalidInput` with all that is wrong."""
        await self._datasets.require_branch(branch)
        problems: list[Violation] = []
        version = base = None
        try:
            version = await self._datasets.version(order.dataset_version)
            if version.state != "READY":
                raise FailedPrecondition(f"{version.name} is {version.state}; only READY versions can be trained on")
        except (NotFound, FailedPrecondition) as error:
            problems.append(Violation("training_job.dataset_version", error.message))
        try:
            base = await self._database.run(lambda connection: self._registry.base_model(connection, order.base_model))
        except NotFound as error:
            problems.append(Violation("training_job.base_model", f"{error.message}; import it with ImportBaseModel"))
        former = None
        try:
            former = await self._warm_start(order)
        except (NotFound, FailedPrecondition) as error:
            problems.append(Violation("training_job.warm_start", error.message))
        if problems or version is None or base is None:
            message = "; ".join(problem.description for problem in problems)
            raise InvalidInput(message, violations=problems, reason="UNRESOLVED_REFERENCE")
        return ResolvedOrder(
            order=order,
            dataset_prefix=version.prefix,
            dataset_manifest_sha256=version.manifest_sha256,
            base_prefix=base.bundle.prefix,
            base_manifest_sha256=base.bundle.manifest_sha256,
            warm_start_prefix=former.prefix if former else "",
            warm_start_manifest_sha256=former.manifest_sha256 if former else "",
            notices=base.warnings,
        )

    async def _warm_start(self, order: TrainingOrder) -> Bundle | None:
        """The files of the adapter to train on from."""
        name = order.spec.warm_start
        if not name:
            return None
        if not (parts := _ADAPTER_NAME.fullmatch(name)):
            raise NotFound(f"{name!r} is no adapter; expected branches/<branch>/adapters/<number>")
        branch, number = parts[1], int(parts[2])
        adapter = await self._database.run(lambda connection: self._registry.adapter(connection, branch, number))
        if adapter.bundle is None:
            raise FailedPrecondition(f"{name} is {adapter.state.value}; only a ready adapter can be trained on")
        if adapter.base_model != order.base_model:
            raise FailedPrecondition(f"{name} belongs to {adapter.base_model}, not to {order.base_model}")
        return adapter.bundle

    async def adapter_of(self, job: Job) -> Adapter:
        return await self._database.run(lambda connection: self._registry.adapter_of(connection, job.name))

    async def metrics(self, job: Job, page: PageRequest) -> Page[Metric]:
        return await self._database.run(lambda connection: self._registry.metrics(connection, job.name, page))


class Adapters:
    """The branches' lines of adapters."""

    def __init__(self, database: Database, registry: ModelRegistry) -> None:
        self._database = database
        self._registry = registry

    async def get(self, branch: str, number: int) -> Adapter:
        return await self._database.run(lambda connection: self._registry.adapter(connection, branch, number))

    async def list(self, branch: str, page: PageRequest) -> Page[Adapter]:
        return await self._database.run(lambda connection: self._registry.adapters(connection, branch, page))
