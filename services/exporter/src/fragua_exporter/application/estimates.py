"""What an export would need, from the manifests of its inputs and the headers of the base's files alone."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psutil  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError

from fragua_exporter.application.exports import Exports
from fragua_exporter.domain.export_order import ExportOrder
from fragua_exporter.domain.size_estimate import ExportEstimate, TensorShape, estimate
from fragua_platform.artifacts.bundle import load_bundle
from fragua_platform.artifacts.manifest import ManifestFile
from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.errors import InvalidData

_LONGEST_HEADER = 100_000_000
"""What the safetensors library itself takes."""


class _Tensor(BaseModel):
    model_config = ConfigDict(extra="ignore")

    shape: tuple[NonNegativeInt, ...]


@dataclass(frozen=True)
class Machine:
    """What this machine has free; a worker may run on another."""

    disk_free_bytes: int
    memory_free_bytes: int


class Estimates:
    def __init__(self, exports: Exports, store: ArtifactStore, workplace: Path) -> None:
        self._exports = exports
        self._store = store
        self._workplace = workplace

    async def estimate(self, branch: str, order: ExportOrder) -> tuple[ExportEstimate, Machine]:
        """What is wrong with the order is reported as by its creation."""
        resolved = await self._exports.resolve(branch, order)
        base = await load_bundle(self._store, resolved.base_prefix, manifest_sha256=resolved.base_manifest_sha256)
        files = list(base.manifest.files)
        others = [(resolved.adapter_prefix, resolved.adapter_manifest_sha256)]
        others += [(each.prefix, each.manifest_sha256) for each in (resolved.importance, resolved.task) if each]
        for prefix, digest in others:
            files += (await load_bundle(self._store, prefix, manifest_sha256=digest)).manifest.files
        weights = [file for file in base.manifest.files if file.name.endswith(".safetensors")]
        tensors = [tensor for file in weights for tensor in await self._header(file)]
        found = estimate(
            order.spec,
            tensors,
            input_bytes=sum(file.size for file in files),
            weight_bytes=sum(file.size for file in weights),
            tokenizer_bytes=sum(file.size for file in base.manifest.files if file.name == "tokenizer.json"),
        )
        return found, self._machine()

    def _machine(self) -> Machine:
        place = next(folder for folder in (self._workplace, *self._workplace.parents) if folder.exists())
        return Machine(shutil.disk_usage(place).free, psutil.virtual_memory().available)

    async def _header(self, file: ManifestFile) -> list[TensorShape]:
        try:
            content = await self._beginning(file)
            (length,) = struct.unpack_from("<Q", content)
            header: dict[str, Any] = json.loads(content[8 : 8 + length])
            header.pop("__metadata__", None)
            return [TensorShape(name, _Tensor.model_validate(entry).shape) for name, entry in header.items()]
        except (struct.error, ValueError, RecursionError, AttributeError, ValidationError) as broken:
            raise InvalidData(f"{file.key} is no whole safetensors file: import the base again") from broken

    async def _beginning(self, file: ManifestFile) -> bytes:
        """The header with its length before it; the weights stay where they are."""
        content = b""
        # Closed at once: what reads from S3 must not hold its connection until somebody collects it.
        async with aclosing(cast("AsyncGenerator[bytes, None]", self._store.read(file.ref))) as chunks:
            async for chunk in chunks:
                content += chunk
                if len(content) >= 8 and len(content) >= 8 + min(*struct.unpack_from("<Q", content), _LONGEST_HEADER):
                    break
        return content
