"""Ordering an export: what is wrong with it is told before any compute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fragua_exporter.domain.export_order import ExportOrder, ResolvedOrder
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
    base_model: str
    bundle: Published


class Adapters(Protocol):
    """The trainer service, as the exporter sees it. Every call raises `NotFound`, or `Unavailable`."""

    async def adapter(self, name: str) -> Adapter: ...

    async def base_model(self, name: str) -> Published: ...


class BranchDirectory(Protocol):
    """The dataset service, likewise."""

    async def require_branch(self, branch: str) -> None: ...


class Exports:
    def __init__(self, desk: JobDesk, adapters: Adapters, branches: BranchDirectory) -> None:
        self._desk = desk
        self._adapters = adapters
        self._branches = branches

    async def submit(self, branch: str, order: ExportOrder, *, request_id: str, validate_only: bool = False) -> Job:
        """Queue an export; what is wrong with the order is reported before any compute."""
        return await self._desk.submit(
            branch, order, lambda: self._resolve(branch, order), request_id=request_id, validate_only=validate_only
        )

    async def _resolve(self, branch: str, order: ExportOrder) -> ResolvedOrder:
        await self._branches.require_branch(branch)
        try:
            adapter = await self._adapters.adapter(order.adapter)
            if adapter.state != "READY":
                raise FailedPrecondition(f"{adapter.name} is {adapter.state}; only READY adapters can be exported")
        except (NotFound, FailedPrecondition) as error:
            problem = Violation("export.adapter", error.message)
            raise InvalidInput(error.message, violations=[problem], reason="UNRESOLVED_REFERENCE") from error
        base = await self._adapters.base_model(adapter.base_model)
        return ResolvedOrder(
            order=order,
            adapter_prefix=adapter.bundle.prefix,
            adapter_manifest_sha256=adapter.bundle.manifest_sha256,
            base_model=adapter.base_model,
            base_prefix=base.prefix,
            base_manifest_sha256=base.manifest_sha256,
        )
