"""Versions tell how many samples of each exercise type they hold, so that triggers count these and not rows."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.engine import Connection

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    samples = op.create_table(
        "version_samples",
        sa.Column("version", sa.String(256), primary_key=True),
        sa.Column("exercise_type", sa.String(64), primary_key=True),
        sa.Column("samples", sa.BigInteger, nullable=False),
        sa.Column("keys", sa.LargeBinary),
    )
    _count_consolidated(op.get_bind(), samples)


def _count_consolidated(connection: Connection, samples: sa.Table) -> None:
    """Consolidated rows are of one type. What others hold is not known: they count once they are made anew."""
    versions = sa.table(
        "dataset_versions",
        sa.column("name", sa.String),
        sa.column("origin", sa.String),
        sa.column("state", sa.String),
        sa.column("findings", sa.JSON),
    )
    ready = versions.c.state.in_(["READY", "AWAITING_APPROVAL"])
    for version in connection.execute(versions.select().where(versions.c.origin == "CONSOLIDATION", ready)).all():
        count = version.findings.get("train_rows", 0) + version.findings.get("validation_rows", 0)
        if count:
            connection.execute(samples.insert().values(version=version.name, exercise_type="", samples=count))
