"""Signatures of exports in SQL."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.engine import Connection

from fragua_exporter.adapters.tables import export_signatures
from fragua_exporter.domain.signature import Signature


class SignatureTable:
    """Implements `SignatureRecords` of the application."""

    def add(self, connection: Connection, export: str, signature: Signature) -> None:
        table = export_signatures
        key = {"export": export, "public_key": signature.public_key.hex()}
        connection.execute(table.delete().where(*(table.c[column] == value for column, value in key.items())))
        values = {"signature": signature.signature.hex(), "signer": signature.signer, "signed": signature.time}
        connection.execute(table.insert().values(**key, **values))

    def of_exports(self, connection: Connection, exports: Sequence[str]) -> dict[str, list[Signature]]:
        table = export_signatures
        query = table.select().where(table.c.export.in_(exports)).order_by(table.c.signed, table.c.public_key)
        found: dict[str, list[Signature]] = {}
        for row in connection.execute(query):
            signature = Signature(row.signer, bytes.fromhex(row.public_key), bytes.fromhex(row.signature), row.signed)
            found.setdefault(row.export, []).append(signature)
        return found
