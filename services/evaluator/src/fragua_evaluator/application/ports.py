"""The other services, as the evaluator sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


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


@dataclass(frozen=True)
class Export:
    name: str
    state: str
    adapter: str
    files: frozenset[str]
    bundle: Published


class Adapters(Protocol):
    """The trainer service. Every call raises `NotFound`, or `Unavailable`."""

    async def adapter(self, name: str) -> Adapter: ...

    async def base_model(self, name: str) -> Published: ...


class DatasetCatalog(Protocol):
    """The dataset service, likewise."""

    async def require_branch(self, branch: str) -> None: ...

    async def version(self, name: str) -> DatasetVersion: ...


class Exports(Protocol):
    """The exporter service, likewise."""

    async def export(self, name: str) -> Export: ...
