"""Ordering an export: what is wrong with it is told before any compute."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from fragua_exporter.domain.export_order import ExportOrder, PinnedVersion, ResolvedOrder
from fragua_exporter.domain.history import Score
from fragua_platform.errors import FailedPrecondition, InvalidInput, NotFound, Violation
from fragua_platform.jobs.desk import JobDesk
from fragua_platform.jobs.job import Job

T = TypeVar("T")


@dataclass(frozen=True)
class Published:
    """A bundle that another service published: where it lies, and the digest that pins it."""

    prefix: str
    manifest_sha256: str


@dataclass(frozen=True)
class Adapter:
    name: str
    state: str
    base_model: str
    bundle: Published
    scores: tuple[Score, ...] = ()


@dataclass(frozen=True)
class BaseModel:
    bundle: Published
    source: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class DatasetVersion:
    name: str
    state: str
    train_rows: int
    validation_rows: int
    bundle: Published


class Adapters(Protocol):
    """The trainer service, as the exporter sees it. Every call raises `NotFound`, or `Unavailable`."""

    async def adapter(self, name: str) -> Adapter: ...

    async def base_model(self, name: str) -> BaseModel: ...


class DatasetCatalog(Protocol):
    """The dataset service, likewise."""

    async def require_branch(self, branch: str) -> None: ...

    async def version(self, name: str) -> DatasetVersion: ...


class Exports:
    def __init__(self, desk: JobDesk, adapters: Adapters, datasets: DatasetCatalog) -> None:
        self._desk = desk
        self._adapters = adapters
        self._datasets = datasets

    async def submit(self, branch: str, order: ExportOrder, *, request_id: str, validate_only: bool = False) -> Job:
        """Queue an export; what is wrong with the order is reported before any compute."""
        return await self._desk.submit(
            branch, order, lambda: self.resolve(branch, order), request_id=request_id, validate_only=validate_only
        )

    async def resolve(self, branch: str, order: ExportOrder) -> ResolvedOrder:
        """Everything that the order refers to, pinned; all that is wrong with it is told at once."""
        await self._datasets.require_branch(branch)
        problems: list[Violation] = []
        adapter = await self._found("export.adapter", self._ready_adapter(order.adapter), problems)
        importance = task = None
        if order.importance_dataset:
            importance = await self._found(
                "export.importance_dataset", self._ready_version(order.importance_dataset, held_out=False), problems
            )
        if order.task_dataset:
            task = await self._found(
                "export.task_dataset", self._ready_version(order.task_dataset, held_out=True), problems
            )
        if problems or adapter is None:
            message = "; ".join(problem.description for problem in problems)
            raise InvalidInput(message, violations=problems, reason="UNRESOLVED_REFERENCE")
        base = await self._adapters.base_model(adapter.base_model)
        return ResolvedOrder(
            order=order,
            adapter_prefix=adapter.bundle.prefix,
            adapter_manifest_sha256=adapter.bundle.manifest_sha256,
            base_model=adapter.base_model,
            base_prefix=base.bundle.prefix,
            base_manifest_sha256=base.bundle.manifest_sha256,
            base_source=base.source,
            base_warnings=base.warnings,
            importance=importance,
            task=task,
            scores=adapter.scores,
        )

    async def _found(self, field: str, wanted: Awaitable[T], problems: list[Violation]) -> T | None:
        try:
            return await wanted
        except (NotFound, FailedPrecondition) as error:
            problems.append(Violation(field, error.message))
            return None

    async def _ready_adapter(self, name: str) -> Adapter:
        adapter = await self._adapters.adapter(name)
        if adapter.state != "READY":
            raise FailedPrecondition(f"{name} is {adapter.state}; only READY adapters can be exported")
        return adapter

    async def _ready_version(self, name: str, *, held_out: bool) -> PinnedVersion:
        version = await self._datasets.version(name)
        if version.state != "READY":
            raise FailedPrecondition(f"{name} is {version.state}; only READY versions can be used")
        if held_out and version.validation_rows == 0:
            raise FailedPrecondition(f"{name} holds nothing out; import it with a validation_fraction above 0")
        if not held_out and version.train_rows == 0:
            raise FailedPrecondition(
                f"{name} has no rows to train on; take the version that the adapter was trained on"
            )
        return PinnedVersion(
            name=version.name, prefix=version.bundle.prefix, manifest_sha256=version.bundle.manifest_sha256
        )
