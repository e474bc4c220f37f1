"""The exporter's tables, as queries are written against them."""

from __future__ import annotations

import sqlalchemy as sa

from fragua_platform.database import Timestamp
from fragua_platform.tables import define_platform_tables

metadata = sa.MetaData()
define_platform_tables(metadata)

exports = sa.Table(
    "exports",
    metadata,
    sa.Column("name", sa.String(256), primary_key=True),
    sa.Column("file", sa.String(256), primary_key=True),
    sa.Column("branch", sa.String(64), nullable=False),
    sa.Column("adapter", sa.String(256), nullable=False),
    sa.Column("quantization", sa.String(16), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("published", Timestamp, nullable=False),
    sa.Index("ix_exports_adapter", "adapter"),
)

ollama_publications = sa.Table(
    "ollama_publications",
    metadata,
    sa.Column("export", sa.String(256), primary_key=True),
    sa.Column("model", sa.String(256), primary_key=True),
    sa.Column("published", Timestamp, primary_key=True),
    sa.Column("quantization", sa.String(16), nullable=False),
    sa.Column("digest", sa.String(128), nullable=False),
)

export_signatures = sa.Table(
    "export_signatures",
    metadata,
    sa.Column("export", sa.String(256), primary_key=True),
    sa.Column("public_key", sa.String(64), primary_key=True),
    sa.Column("signature", sa.String(128), nullable=False),
    sa.Column("signer", sa.String(120), nullable=False),
    sa.Column("signed", Timestamp, nullable=False),
)
