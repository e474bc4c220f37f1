"""The evaluator's use case: order an evaluation of an adapter against its base."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fragua_evaluator.domain.evaluation_order import EvaluationOrder, ResolvedOrder
from fragua_platform.errors import FailedPrecondition, InvalidInput, NotFound, Violation
from fragua_platform.jobs.desk import JobDesk
from fragua_platform.jobs.job import Job


@dataclass(frozen=True)
class Published:
    """A bundle that another service published: where it lies, and the digest that pins it."""

    prefix: str
    manifest_sha256: str


@dataclass(frozen=True)
class Adapter:
    name: str
    state: str
    dataset_version: str
    base_model: str
    bundle: Published


@dataclass(frozen=True)
class DatasetVersion:
    name: str
    state: str
    validation_rows: int
    bundle: Published


class Adapters(Protocol):
    """The trainer service, as the evaluator sees it. Every call raises `NotFound`, or `Unavailable`."""

    async def adapter(self, name: str) -> Adapter: ...

    async def base_model(self, name: str) -> Published: ...


class DatasetCatalog(Protocol):
    """The dataset service, likewise."""

    async def require_branch(self, branch: str) -> None: ...

    async def version(self, name: str) -> DatasetVersion: ...


class Evaluations:
    def __init__(self, desk: JobDesk, adapters: Adapters, datasets: DatasetCatalog) -> None:
        self._desk = desk
        self._adapters = adapters
        self._datasets = datasets

    async def submit(self, branch: str, order: EvaluationOrder, *, request_id: str, validate_only: bool = False) -> Job:
        """Queue an evaluation; everything that is wrong with the order is reported at once, before any compute."""
        return await self._desk.submit(
            branch, order, lambda: self._resolve(branch, order), request_id=request_id, validate_only=validate_only
        )

    async def _resolve(self, branch: str, order: EvaluationOrder) -> ResolvedOrder:
        await self._datasets.require_branch(branch)
        problems: list[Violation] = []
        adapter = version = None
        try:
            adapter = await self._ready_adapter(order.adapter)
        except (NotFound, FailedPrecondition) as error:
            problems.append(Violation("evaluation.adapter", error.message))
        if wanted := order.dataset_version or (adapter.dataset_version if adapter else ""):
            try:
                version = await self._ready_version(wanted)
            except (NotFound, FailedPrecondition) as error:
                problems.append(Violation("evaluation.dataset_version", error.message))
        if problems or adapter is None or version is None:
            message = "; ".join(problem.description for problem in problems)
            raise InvalidInput(message, violations=problems, reason="UNRESOLVED_REFERENCE")
        base = await self._adapters.base_model(adapter.base_model)
        return ResolvedOrder(
            order=order,
            dataset_version=version.name,
            dataset_prefix=version.bundle.prefix,
            dataset_manifest_sha256=version.bundle.manifest_sha256,
            adapter_prefix=adapter.bundle.prefix,
            adapter_manifest_sha256=adapter.bundle.manifest_sha256,
            base_model=adapter.base_model,
            base_prefix=base.prefix,
            base_manifest_sha256=base.manifest_sha256,
        )

    async def _ready_adapter(self, name: str) -> Adapter:
        adapter = await self._adapters.adapter(name)
        if adapter.state != "READY":
            raise FailedPrecondition(f"{name} is {adapter.state}; only READY adapters can be evaluated")
        return adapter

    async def _ready_version(self, name: str) -> DatasetVersion:
        version = await self._datasets.version(name)
        if version.state != "READY":
            raise FailedPrecondition(f"{name} is {version.state}; only READY versions can ask questions")
        if version.validation_rows == 0:
            raise FailedPrecondition(f"{name} holds nothing out; import it with a validation_fraction above 0")
        return version
