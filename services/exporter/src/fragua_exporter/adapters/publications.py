"""Which exports were put into Ollama, in SQL: a row for each time, so that a tag's history can be told."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.engine import Connection

from fragua_exporter.adapters.tables import ollama_publications
from fragua_exporter.domain.export_spec import Quantization
from fragua_exporter.domain.publication import Publication
from fragua_platform.database import Database


class PublicationTable:
    """Implements `PublicationLog` and `PublicationRecords` of the application."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, publication: Publication) -> None:
        values = {
            "export": publication.export,
            "model": publication.model,
            "quantization": publication.quantization.value,
            "digest": publication.digest,
            "published": publication.published,
        }
        await self._database.run(lambda connection: connection.execute(ollama_publications.insert().values(**values)))

    def of_exports(self, connection: Connection, exports: Sequence[str]) -> dict[str, list[Publication]]:
        table = ollama_publications
        query = table.select().where(table.c.export.in_(exports)).order_by(table.c.published.desc(), table.c.model)
        found: dict[str, list[Publication]] = {}
        for row in connection.execute(query):
            publication = Publication(row.export, row.model, Quantization(row.quantization), row.digest, row.published)
            found.setdefault(row.export, []).append(publication)
        return found
