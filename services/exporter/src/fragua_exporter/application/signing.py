"""Signatures over exports: keeping those that fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

from sqlalchemy.engine import Connection

from fragua_exporter.domain.signature import SIGNED_KIND, Signature
from fragua_exporter.work import bundle_of
from fragua_platform.artifacts.signatures import signature_fits
from fragua_platform.database import Database
from fragua_platform.errors import FailedPrecondition, InvalidInput, LimitExceeded, Violation
from fragua_platform.jobs.desk import JobDesk
from fragua_platform.jobs.job import Job

_MOST_SIGNATURES = 64


class SignatureRecords(Protocol):
    """Calls run inside a transaction of the caller's."""

    def add(self, connection: Connection, export: str, signature: Signature) -> None:
        """The latest signature of a key counts."""
        ...

    def of_exports(self, connection: Connection, exports: Sequence[str]) -> Mapping[str, Sequence[Signature]]:
        """Oldest first; exports without any are left out."""
        ...


class Signing:
    def __init__(self, desk: JobDesk, database: Database, records: SignatureRecords) -> None:
        self._desk = desk
        self._database = database
        self._records = records

    async def sign(self, name: str, signer: str, public_key: bytes, signature: bytes) -> Job:
        """Keep a signature that the client made; one that does not fit is refused."""
        job = await self._desk.get(name)
        bundle = bundle_of(job)
        if bundle is None:
            raise FailedPrecondition(f"{name} is {job.state}; it can be signed once it is SUCCEEDED")
        given = Signature(signer, public_key, signature, datetime.now(UTC))
        if not signature_fits(SIGNED_KIND, name, bundle.manifest_sha256, public_key, signature):
            problem = f"does not fit {name} with the manifest {bundle.manifest_sha256} and this public key; sign these very lines"
            raise InvalidInput(f"the signature {problem}", violations=[Violation("signature", problem)])

        def write(connection: Connection) -> None:
            known = {each.public_key: each for each in self._records.of_exports(connection, [name]).get(name, ())}
            if public_key in known and (known[public_key].signer, known[public_key].signature) == (signer, signature):
                return  # The same call again, because its first answer was lost.
            if public_key not in known and len(known) >= _MOST_SIGNATURES:
                raise LimitExceeded(f"{name} has {_MOST_SIGNATURES} signatures, and no export can have more")
            self._records.add(connection, name, given)

        await self._database.run(write)
        return job

    async def of(self, name: str) -> Sequence[Signature]:
        found = await self._database.run(lambda connection: self._records.of_exports(connection, [name]))
        return found.get(name, ())
