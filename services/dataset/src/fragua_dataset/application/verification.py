"""Reading a version again, every byte, to tell whether it is what it was when it was published and signed."""

from __future__ import annotations

import asyncio
from pathlib import Path

from fragua_dataset.application.treatment import PolicyOf
from fragua_dataset.application.versions import Versions
from fragua_dataset.domain.dataset import ROW_FILES
from fragua_dataset.domain.verification import RowChecks, RowChecksAsked, SignatureCheck, Verification
from fragua_dataset.domain.version import SIGNED_KIND, Version, require_files
from fragua_platform.artifacts.bundle import look_at_manifest
from fragua_platform.artifacts.manifest import Bundle, ManifestFile
from fragua_platform.artifacts.signatures import signature_fits
from fragua_platform.artifacts.store import ArtifactStore
from fragua_platform.errors import Corrupted, FraguaError, NotFound, Unavailable
from fragua_platform.jobs.child import EngineProcess
from fragua_platform.jobs.engine import JobDirectory
from fragua_platform.jobs.workplace import own_workplace

_ENGINE = "fragua_dataset.ingestion.verification"
_AT_ONCE = 2
"""Each verification takes the disk space of a version, and a core."""


class Verifications:
    def __init__(self, versions: Versions, store: ArtifactStore, policy_of: PolicyOf, workplace: Path) -> None:
        self._versions = versions
        self._store = store
        self._policy_of = policy_of
        self._workplace = workplace
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def verify(self, name: str) -> Verification:
        """Digests by what the database remembers, not by what the store says of itself; every row's id; signatures."""
        version = (await self._versions.get(name)).version
        known = require_files(version)
        faults, digest = await look_at_manifest(self._store, known)
        async with self._turns:
            with own_workplace(self._workplace) as place:
                found, rows = await self._check_files(version, known, JobDirectory(place))
        trusted = set((await self._policy_of(version.branch)).trusted_keys.values())
        signatures = [
            SignatureCheck(
                signer=each.signer,
                public_key=each.public_key,
                valid=signature_fits(SIGNED_KIND, name, digest, each.public_key, each.signature),
                trusted=each.public_key in trusted,
            )
            for each in version.signatures
        ]
        return Verification([*faults, *found], rows, signatures)

    async def _check_files(self, version: Version, known: Bundle, work: JobDirectory) -> tuple[list[str], int]:
        faults, readable = [], []
        for file in known.manifest.files:
            target = work.inputs / file.name
            if fault := await self._fetch(file, target):
                faults.append(f"{file.name}: {fault}")
            if file.name in ROW_FILES and target.exists():
                readable.append(file.name)
            else:
                await asyncio.to_thread(target.unlink, missing_ok=True)
        expected = dict(zip(ROW_FILES, (version.findings.train_rows, version.findings.validation_rows), strict=True))
        checks = await _check_rows(work, readable)
        for name, check in checks.files.items():
            faults += [f"{name}, {fault}" for fault in check.faults]
            if unlisted := check.faulty_rows - len(check.faults):
                faults.append(f"{name}: {unlisted:,} more rows are not what they were")
            if check.rows != expected[name]:
                faults.append(f"{name}: it has {check.rows:,} rows, and had {expected[name]:,}")
        return faults, sum(check.rows for check in checks.files.values())

    async def _fetch(self, file: ManifestFile, target: Path) -> str:
        """What is wrong with the file. Its bytes are fetched nevertheless, to find the rows that were changed."""
        try:
            await self._store.get_file(file.ref, target)
        except NotFound:
            return "it is gone"
        except Corrupted as fault:
            read = await self._fetch_as_it_is(file, target)
            return fault.message if read else f"{fault.message}; its rows are not read"
        return ""

    async def _fetch_as_it_is(self, file: ManifestFile, target: Path) -> bool:
        try:
            found = await self._store.stat(file.key)
            if found.size > 2 * file.size:  # Whatever it is, it must not fill the disk.
                return False
            await self._store.get_file(found, target)
        except Unavailable:
            raise
        except FraguaError:
            return False
        return True


async def _check_rows(work: JobDirectory, files: list[str]) -> RowChecks:
    if not files:
        return RowChecks(files={})
    asked = RowChecksAsked(files=tuple(files))
    await asyncio.to_thread((work.root / "spec.json").write_text, asked.model_dump_json(), "utf-8")
    await EngineProcess(_ENGINE, work.root).run(lambda _record: None)
    found = await asyncio.to_thread((work.outputs / "verification.json").read_text, "utf-8")
    return RowChecks.model_validate_json(found)
