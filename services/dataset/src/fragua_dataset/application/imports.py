"""Taking in files of examples as new versions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from fragua_dataset.application.branches import BranchDirectory
from fragua_dataset.application.importable_objects import ImportableObjects
from fragua_dataset.application.treatment import Treatments
from fragua_dataset.application.uploads import Announcement, KeptUpload, Uploads
from fragua_dataset.application.versions import VersionAndJob, Versions
from fragua_dataset.domain.version import Origin
from fragua_dataset.domain.version_order import SourceObject, VersionOptions, VersionOrder


@dataclass(frozen=True)
class ImportRequest:
    """What a client asks for, wherever the file is."""

    dataset: str
    """`branches/{branch}/datasets/{dataset}`"""
    request_id: str
    filename: str
    options: VersionOptions = field(default_factory=VersionOptions)

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
        uploads: Uploads,
        objects: ImportableObjects,
    ) -> None:
        self._versions = versions
        self._branches = branches
        self._treatments = treatments
        self._uploads = uploads
        self._objects = objects

    async def import_stream(
        self, request: ImportRequest, announced: Announcement, chunks: AsyncIterator[bytes]
    ) -> VersionAndJob:
        """Take in a file and queue its validation; answers when the bytes are safe in the store."""
        # Whoever asks for something that cannot be shall not first send a file of gigabytes.
        await self._check(request, within="header.options.")
        return await self.import_stored(request, await self._uploads.receive(announced, chunks))

    async def kept_upload(self, dataset: str, request_id: str) -> KeptUpload:
        """What came of a resumable stream so far; `NotFound` when nothing is kept."""
        return await self._uploads.kept(dataset, request_id)

    async def import_object(self, request: ImportRequest, uri: str, sha256: str) -> VersionAndJob:
        """Queue the validation of an object that somebody else put into the store."""
        await self._check(request, within="options.")
        return await self.import_stored(request, await self._objects.find(uri, sha256))

    async def _check(self, request: ImportRequest, *, within: str) -> None:
        await self._branches.get(request.branch)
        await self._treatments.of(request.branch, request.options, within=within)

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
