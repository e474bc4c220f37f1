"""Reading an export again, every byte, to tell whether it is what it was when it was published and signed."""

from __future__ import annotations

import asyncio

from fragua_exporter.application.signing import Signing
from fragua_exporter.domain.signature import SIGNED_KIND, ExportVerification, SignatureCheck
from fragua_exporter.work import bundle_of
from fragua_platform.artifacts.bundle import look_at_manifest
from fragua_platform.artifacts.manifest import ManifestFile
from fragua_platform.artifacts.signatures import signature_fits
from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.errors import Corrupted, FailedPrecondition, NotFound
from fragua_platform.jobs.desk import JobDesk

_AT_ONCE = 2
"""Each reads gigabytes and takes a core for their digests."""


class Verifications:
    def __init__(self, desk: JobDesk, store: ArtifactStore, signing: Signing) -> None:
        self._desk = desk
        self._store = store
        self._signing = signing
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def verify(self, name: str) -> ExportVerification:
        """By the digests that the database remembers, not by what the store says of itself."""
        job = await self._desk.get(name)
        known = bundle_of(job)
        if known is None:
            raise FailedPrecondition(f"{name} is {job.state}; it can be verified once it is SUCCEEDED")
        async with self._turns:
            faults, digest = await look_at_manifest(self._store, known)
            for file in known.manifest.files:
                faults += await self._check_file(file)
        signatures = [
            SignatureCheck(
                each.signer, each.public_key, signature_fits(SIGNED_KIND, name, digest, each.public_key, each.signature)
            )
            for each in await self._signing.of(name)
        ]
        return ExportVerification(faults, signatures)

    async def _check_file(self, file: ManifestFile) -> list[str]:
        """The store compares the digest while the bytes pass by; none of them are kept."""
        try:
            async for _ in self._store.read(file.ref):
                pass
        except NotFound:
            return [f"{file.name}: it is gone"]
        except Corrupted as fault:
            return [f"{file.name}: {fault.message}"]
        return []
