"""An export as clients see it: its job, with what happened after it had ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.engine import Connection

from fragua_exporter.application.signing import SignatureRecords
from fragua_exporter.domain.publication import Publication
from fragua_exporter.domain.signature import Signature
from fragua_platform.database import Database
from fragua_platform.jobs.job import Job


@dataclass(frozen=True)
class ExportRecord:
    job: Job
    signatures: Sequence[Signature] = ()
    publications: Sequence[Publication] = ()
    """Newest first."""


class PublicationRecords(Protocol):
    def of_exports(self, connection: Connection, exports: Sequence[str]) -> dict[str, list[Publication]]:
        """Newest first, inside a transaction of the caller's; exports without any are left out."""
        ...


class Records:
    def __init__(self, database: Database, signatures: SignatureRecords, publications: PublicationRecords) -> None:
        self._database = database
        self._signatures = signatures
        self._publications = publications

    async def of(self, job: Job) -> ExportRecord:
        [record] = await self.of_all([job])
        return record

    async def of_all(self, jobs: Sequence[Job]) -> list[ExportRecord]:
        names = [job.name for job in jobs if job.state.terminal]
        if not names:
            return [ExportRecord(job) for job in jobs]

        def read(connection: Connection) -> list[ExportRecord]:
            signatures = self._signatures.of_exports(connection, names)
            publications = self._publications.of_exports(connection, names)
            return [ExportRecord(job, signatures.get(job.name, ()), publications.get(job.name, ())) for job in jobs]

        return await self._database.run(read)
