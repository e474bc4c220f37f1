"""The dataset service's tables, as queries are written against them. A version is its import job."""

from __future__ import annotations

import sqlalchemy as sa

from fragua_platform.database import Timestamp
from fragua_platform.tables import define_platform_tables

metadata = sa.MetaData()
define_platform_tables(metadata)

branches = sa.Table(
    "branches",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("display_name", sa.String(120), nullable=False),
    sa.Column("created", Timestamp, nullable=False),
)
