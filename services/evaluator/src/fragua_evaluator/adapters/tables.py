"""The evaluator's tables, as queries are written against them."""

from __future__ import annotations

import sqlalchemy as sa

from fragua_platform.database import Timestamp
from fragua_platform.tables import define_platform_tables

metadata = sa.MetaData()
define_platform_tables(metadata)

evaluations = sa.Table(
    "evaluations",
    metadata,
    sa.Column("name", sa.String(256), primary_key=True),
    sa.Column("branch", sa.String(64), nullable=False),
    sa.Column("adapter", sa.String(256), nullable=False),
    sa.Column("dataset_version", sa.String(256), nullable=False),
    sa.Column("metric", sa.String(64), nullable=False),
    sa.Column("item_count", sa.BigInteger, nullable=False),
    sa.Column("base_score", sa.Float, nullable=False),
    sa.Column("tuned_score", sa.Float, nullable=False),
    sa.Column("p_value", sa.Float, nullable=False),
    sa.Column("reported", Timestamp, nullable=False),
    sa.Index("ix_evaluations_adapter", "adapter"),
)
