"""The dataset service's tables, as queries are written against them."""

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

dataset_versions = sa.Table(
    "dataset_versions",
    metadata,
    sa.Column("name", sa.String(256), primary_key=True),
    sa.Column("branch", sa.String(64), nullable=False),
    sa.Column("dataset", sa.String(128), nullable=False),
    sa.Column("state", sa.String(32), nullable=False),
    sa.Column("origin", sa.String(32), nullable=False),
    sa.Column("profile", sa.String(64), nullable=False),
    sa.Column("evaluation", sa.Boolean, nullable=False),
    sa.Column("parents", sa.JSON, nullable=False),
    sa.Column("lineage", sa.JSON, nullable=False),
    sa.Column("requires_approval", sa.Boolean, nullable=False),
    sa.Column("findings", sa.JSON, nullable=False),
    sa.Column("bundle", sa.JSON(none_as_null=True)),
    sa.Column("created", Timestamp, nullable=False),
    sa.Index("ix_dataset_versions_branch", "branch", "created", "name"),
    sa.Index("ix_dataset_versions_dataset", "dataset", "created", "name"),
)

dataset_reviews = sa.Table(
    "dataset_reviews",
    metadata,
    sa.Column("version", sa.String(256), primary_key=True),
    sa.Column("state", sa.String(32), primary_key=True),
    sa.Column("reviewer", sa.String(120), nullable=False),
    sa.Column("reason", sa.String(2000), nullable=False),
    sa.Column("sample_seed", sa.BigInteger, nullable=False),
    sa.Column("sample_size", sa.Integer, nullable=False),
    sa.Column("reviewed", Timestamp, nullable=False),
)

dataset_signatures = sa.Table(
    "dataset_signatures",
    metadata,
    sa.Column("version", sa.String(256), primary_key=True),
    sa.Column("public_key", sa.String(64), primary_key=True),
    sa.Column("signature", sa.String(128), nullable=False),
    sa.Column("signer", sa.String(120), nullable=False),
    sa.Column("signed", Timestamp, nullable=False),
)

version_samples = sa.Table(
    "version_samples",
    metadata,
    sa.Column("version", sa.String(256), primary_key=True),
    sa.Column("exercise_type", sa.String(64), primary_key=True),
    sa.Column("samples", sa.BigInteger, nullable=False),
    sa.Column("keys", sa.LargeBinary),
)
"""What versions hold of each exercise type. `keys`: 8 bytes for each sample, NULL where there are too many."""
