"""Taking in files of examples as new versions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from fragua_dataset.application.branches import BranchDirectory
from fragua_dataset.application.treatment import Treatments
from fragua_dataset.application.versions import VersionAndJob, Versions
from fragua_dataset.domain.version import Origin
from fragua_dataset.domain.version_order import SourceObject, VersionOptions, VersionOrder
from fragua_dataset.uploads import receive_upload
from fragua_platform.artifacts.store import ArtifactStore


@dataclass(frozen=True)
class ImportRequest:
    """The header of an upload."""

    dataset: str
    """`branches/{branch}/datasets/{dataset}`"""
    request_id: str
    filename: str
    options: VersionOptions = field(default_factory=VersionOptions)
    size: int | None = None
    sha256: str = ""

    @property
    def branch(self) -> str:
        return self.dataset.split("/")[1]


class _Asked(BaseModel):
    """What makes two imports the same request."""

    model_config = ConfigDict(frozen=True)

    dataset: str
    filename: str
    source: SourceObject
    options: VersionOptions


class Imports:
    def __init__(
        self,
        versions: Versions,
        branches: BranchDirectory,
        treatments: Treatments,
        store: ArtifactStore,
        uploads: Path,
        max_upload_bytes: int,
    ) -> None:
        self._versions = versions
        self._branches = branches
        self._treatments = treatments
        self._store = store
        self._uploads = uploads
        self._max_upload_bytes = max_upload_bytes

    async def import_stream(self, request: ImportRequest, chunks: AsyncIterator[bytes]) -> VersionAndJob:
        """Take in a file and queue its validation; answers when the bytes are safe in the store."""
        await self._branches.get(request.branch)
        # Whoever asks for something that cannot be shall not first send a file of gigabytes.
        await self._treatments.of(request.branch, request.options, within="header.options.")
        ref = await receive_upload(
            chunks,
            self._store,
            prefix=f"uploads/{request.branch}",
            directory=self._uploads,
            limit=self._max_upload_bytes,
            size=request.size,
            sha256=request.sha256,
        )
        return await self.import_stored(request, SourceObject(key=ref.key, size=ref.size, sha256=ref.sha256))

    async def import_stored(
        self, request: ImportRequest, source: SourceObject, *, origin: Origin = Origin.IMPORT
    ) -> VersionAndJob:
        """Queue the validation of a file that is in the store already."""

        async def resolve() -> VersionOrder:
            treatment = await self._treatments.of(request.branch, request.options)
            return VersionOrder(
                dataset=request.dataset,
                origin=origin,
                filename=request.filename,
                source=source,
                lineage=(request.dataset,),
                requires_approval=treatment.requires_approval,
                tokenizers=treatment.tokenizers,
                spec=treatment.spec,
            )

        asked = _Asked(dataset=request.dataset, filename=request.filename, source=source, options=request.options)
        return await self._versions.submit(request.dataset, asked, resolve, request_id=request.request_id)
