"""Writing versions for other programs: one job for each version and format."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

from fragua_dataset.application.versions import Versions
from fragua_dataset.domain.conversion import ConversionFormat, ConversionOrder, ConversionSpec
from fragua_dataset.domain.version import VersionState, require_files
from fragua_platform.artifacts.manifest import Bundle
from fragua_platform.errors import FailedPrecondition, FailureClass, NotFound
from fragua_platform.jobs.desk import JobDesk
from fragua_platform.jobs.job import Job, JobState
from fragua_platform.paging import Page, PageRequest

_KIND = "conversion"


class Conversions:
    def __init__(self, desk: JobDesk, versions: Versions) -> None:
        self._desk = desk
        self._versions = versions

    async def submit(self, version: str, wanted: ConversionFormat) -> Job:
        """Queue the conversion, or give the one that there is.

        One that ended for want of room or by a defect is tried anew under another name: rows that do not fit the format
        will not fit it the next time either.
        """
        name, tries = f"{version}/conversions/{wanted}", 1
        while (known := await self._find(name)) and _is_worth_another_try(known):
            tries += 1
            name = f"{version}/conversions/{wanted}-{tries}"
        if known:
            return known
        spec = ConversionSpec(format=wanted, version=version)

        async def resolve() -> ConversionOrder:
            found = (await self._versions.get(version)).version
            bundle = require_files(found)
            if found.state is not VersionState.READY:
                raise FailedPrecondition(f"{version} is {found.state}; only READY versions are written for others")
            return ConversionOrder(prefix=bundle.prefix, manifest_sha256=bundle.manifest_sha256, spec=spec)

        async def chosen_name() -> str:
            return name

        return await self._desk.submit(
            version.split("/")[1], spec, resolve, request_id=_request_id(name), name=chosen_name
        )

    async def get(self, name: str) -> Job:
        if job := await self._find(name):
            return job
        raise NotFound(f"{name} does not exist; order it with ConvertDatasetVersion")

    async def list(self, parent: str, page: PageRequest) -> Page[Job]:
        """Those of a branch, a dataset or a version, newest first."""
        branch, below = parent.split("/")[1], f"{parent}/"
        if "/versions/" in parent:
            await self._versions.get(parent)
        return await self._desk.list(branch, page, below=below)

    async def cancel(self, name: str) -> Job:
        await self.get(name)
        return await self._desk.cancel(name)

    async def watch(self, name: str) -> AsyncIterator[Job]:
        """The conversion now and after every change, until it has ended."""
        await self.get(name)
        async for job in self._desk.watch(name):
            yield job

    async def bundle(self, name: str) -> Bundle:
        job = await self.get(name)
        if bundle := bundle_of(job):
            return bundle
        raise FailedPrecondition(f"{name} is {job.state}; its files can be fetched once it is SUCCEEDED")

    async def _find(self, name: str) -> Job | None:
        try:
            job = await self._desk.get(name)
        except NotFound:
            return None
        return job if job.kind == _KIND else None


def bundle_of(job: Job) -> Bundle | None:
    return Bundle.model_validate(job.result["bundle"]) if job.state is JobState.SUCCEEDED else None


def _is_worth_another_try(job: Job) -> bool:
    if job.state is JobState.FAILED:
        return job.failure is None or job.failure.failure_class is not FailureClass.USER_DATA
    return job.state is JobState.CANCELLED


def _request_id(name: str) -> str:
    """Of no client: theirs have no colon."""
    return f"{_KIND}:{hashlib.sha256(name.encode()).hexdigest()[:40]}"
