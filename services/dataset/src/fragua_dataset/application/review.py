"""What people decide on versions: approve, reject, archive, sign."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy.engine import Connection

from fragua_dataset.application.versions import VersionAndJob, VersionRecords, Versions
from fragua_dataset.domain.version import (
    SIGNED_KIND,
    Review,
    Signature,
    Version,
    approved,
    archived,
    rejected,
    signable,
)
from fragua_platform.artifacts.signatures import signature_fits
from fragua_platform.database import Database
from fragua_platform.errors import InvalidInput, LimitExceeded, Violation

_MOST_SIGNATURES = 64


class Reviews:
    def __init__(self, database: Database, records: VersionRecords, versions: Versions) -> None:
        self._database = database
        self._records = records
        self._versions = versions

    async def approve(self, name: str, review: Review) -> VersionAndJob:
        return await self._decide(name, review, approved)

    async def reject(self, name: str, review: Review) -> VersionAndJob:
        return await self._decide(name, review, rejected)

    async def archive(self, name: str, review: Review) -> VersionAndJob:
        return await self._decide(name, review, archived)

    async def _decide(
        self, name: str, review: Review, transition: Callable[[Version, Review], Version]
    ) -> VersionAndJob:
        """The decision and its event commit together. The same decision again changes nothing."""

        def write(connection: Connection) -> None:
            before = self._records.get(connection, name)
            after = transition(before, review)
            if after is not before:
                self._records.review(connection, before, after, review)

        await self._database.run(write)
        return await self._versions.get(name)

    async def sign(self, name: str, signer: str, public_key: bytes, signature: bytes) -> VersionAndJob:
        """Keep a signature that the client made; one that does not fit is refused."""

        def write(connection: Connection) -> None:
            version = self._records.get(connection, name)
            digest = signable(version).manifest_sha256
            if not signature_fits(SIGNED_KIND, name, digest, public_key, signature):
                problem = f"does not fit {name} with the manifest {digest} and this public key; sign these very lines"
                raise InvalidInput(f"the signature {problem}", violations=[Violation("signature", problem)])
            known = {each.public_key: each for each in version.signatures}
            if public_key in known and (known[public_key].signer, known[public_key].signature) == (signer, signature):
                return  # The same call again, because its first answer was lost.
            if public_key not in known and len(known) >= _MOST_SIGNATURES:
                raise LimitExceeded(f"{name} has {_MOST_SIGNATURES} signatures, and no version can have more")
            self._records.add_signature(connection, version, Signature(signer, public_key, signature, _now()))

        await self._database.run(write)
        return await self._versions.get(name)


def _now() -> datetime:
    return datetime.now(UTC)
